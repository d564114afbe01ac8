import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { test } from "node:test";
import { canonical, checkProof, type CheckName, type Json } from "./proof";

const subtle = webcrypto.subtle as unknown as SubtleCrypto;
const hex = (bytes: ArrayBuffer) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

const range = (first: number, end: number, more = {}) => ({
  first_offset: first,
  end_offset: end,
  spans: 8,
  counted: 6,
  duplicates: 1,
  rejected: 1,
  counted_in_window: 5,
  begins_anew: false,
  ...more,
});
const row = (tenant: string, calls: number) => ({
  tenant,
  service: "图像 ocr",
  interface: 'POST "/v1"',
  calls,
  errors: 0,
  request_bytes: 0,
  response_bytes: "9007199254740993",
  input_tokens: 0,
  output_tokens: 0,
  gpu_micros: 0,
  energy_millijoules: 0,
});

/** A signed proof, with changes made before it is signed. */
async function proof(changes: object = {}): Promise<{ [key: string]: unknown }> {
  const keys = await subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  const rows = [row("acme", 7), row("globex", 8)];
  const document = {
    weir_usage_proof: 1,
    window: { start: "2026-11-01T00:00:00Z", end: "2026-12-01T00:00:00Z" },
    complete_until: "2026-12-01T00:00:00Z",
    generated_at: "2026-12-01T00:00:01Z",
    rows,
    sources: [
      { topic: "otlp_spans", partition: 0, ranges: [range(0, 10), range(10, 20), range(3, 9, { begins_anew: true })] },
    ],
    faults: [],
    public_key: hex(await subtle.exportKey("raw", keys.publicKey)),
    ...changes,
  };
  const bytes = new TextEncoder().encode(canonical(document.rows as unknown as Json));
  const signed = { ...document, rows_sha256: hex(await subtle.digest("SHA-256", bytes)) };
  const signature = await subtle.sign("Ed25519", keys.privateKey, new TextEncoder().encode(canonical(signed as unknown as Json)));
  return { ...signed, signature: hex(signature) };
}

/** Names of the checks that fail. */
async function failures(document: unknown): Promise<CheckName[]> {
  const { checks } = await checkProof(document, null, subtle);
  return checks.filter((check) => check.state === "failed").map((check) => check.name);
}

test("a sound proof is valid, with the sums of what was counted", async () => {
  const document = await proof();
  const verdict = await checkProof(document, document["public_key"] as string, subtle);
  assert.deepEqual(verdict.checks.filter((check) => check.state !== "ok"), []);
  assert.equal(verdict.state, "valid");
  assert.deepEqual([verdict.spans, verdict.counted, verdict.duplicates, verdict.rejected, verdict.calls], [24n, 18n, 3n, 3n, 15n]);
});

test("each thing that is wrong fails the check of its name", async () => {
  const of = (ranges: object[]) => proof({ sources: [{ topic: "otlp_spans", partition: 0, ranges }] });
  assert.deepEqual(await failures(await of([range(0, 10, { counted_in_window: 6 }), range(11, 20), range(20, 30, { counted_in_window: 4 })])), ["ranges"], "a gap");
  assert.deepEqual(await failures(await of([range(0, 10), range(9, 20), range(20, 30)])), ["ranges"], "an overlap");
  assert.deepEqual(await failures(await of([range(0, 10, { spans: 9 }), range(10, 20), range(20, 30)])), ["balance"]);
  assert.deepEqual(await failures(await of([range(0, 10), range(10, 20)])), ["calls"]);
  assert.deepEqual(await failures(await proof({ rows: [row("globex", 7), row("acme", 8)] })), ["row_order"]);
  assert.deepEqual(await failures(await proof({ rows: [row("acme", 7), row("acme", 8)] })), ["row_order"], "a row twice");
  assert.deepEqual(await failures(await proof({ faults: [{ topic: "otlp_spans", kind: "gap" }] })), ["faults"]);
  assert.deepEqual(await failures(await proof({ weir_usage_proof: 2 })), ["format"]);
  assert.deepEqual(await failures(await proof({ window: { start: "2026-12-01T00:00:00Z", end: "2026-12-01T00:00:00Z" } })), ["window"]);
});

test("what was changed after it was signed is seen", async () => {
  const document = await proof();
  assert.deepEqual(await failures({ ...document, generated_at: "2027-01-01T00:00:00Z" }), ["signature"]);
  assert.deepEqual(await failures({ ...document, rows: [row("acme", 8), row("globex", 7)] }), ["signature", "rows_hash"]);
  assert.deepEqual(await failures({ ...document, signature: "00" }), ["signature"]);
  const { checks, state } = await checkProof(document, "another key", subtle);
  assert.deepEqual([checks[1], state], [{ name: "key", state: "failed", found: { key: document["public_key"] } }, "invalid"]);
});

test("where the browser has no cryptography, nothing is claimed", async () => {
  const document = await proof();
  const verdict = await checkProof(document, document["public_key"] as string, undefined);
  assert.equal(verdict.state, "partly");
  assert.deepEqual(verdict.checks.filter((check) => check.state === "unknown").map((check) => check.name), ["signature", "rows_hash"]);
});

test("anything else is no proof, and says which field", async () => {
  for (const [document, field] of [
    [null, "document"],
    [[], "document"],
    [{ weir_usage_proof: 1 }, "window"],
    [await proof({ rows: [{ ...row("acme", 1), calls: 1.5 }] }), "calls"],
    [await proof({ rows: [{ ...row("acme", 1), calls: "12" }] }), "calls"],
    [await proof({ sources: [{ topic: "t", partition: 0, ranges: [{}] }] }), "first_offset"],
  ] as const) {
    const { checks, state } = await checkProof(document, null, subtle);
    assert.deepEqual([checks, state], [[{ name: "format", state: "failed", found: { field } }], "invalid"]);
  }
});
