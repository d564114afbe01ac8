//! Checks a proof of usage as `weir usage verify` does: that it was signed and not changed since, that no span is missing,
//! and that its rows are what was counted. Pure but for the browser's own cryptography.

export const CHECKS = ["format", "key", "signature", "rows_hash", "window", "row_order", "faults", "ranges", "balance", "calls"] as const;
export type CheckName = (typeof CHECKS)[number];

export interface Check {
  name: CheckName;
  /** `unknown`: it could not be checked here. */
  state: "ok" | "failed" | "unknown";
  /** What was found: numbers for the text of the check. */
  found: Record<string, string | number>;
}

export interface Verdict {
  checks: Check[];
  state: "valid" | "invalid" | "partly";
  start: string;
  end: string;
  completeUntil: string;
  publicKey: string;
  spans: bigint;
  counted: bigint;
  duplicates: bigint;
  rejected: bigint;
  calls: bigint;
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Fields = { [key: string]: Json };

/** Canonical JSON (RFC 8785) of what was read as JSON. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    // Names in the order of their UTF-16 code units, which is the order of `sort`.
    const fields = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name] ?? null)}`);
    return `{${fields.join(",")}}`;
  }
  return JSON.stringify(value);
}

class Malformed extends Error {}

function fieldsOf(value: Json | undefined, what: string): Fields {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Malformed(what);
  return value;
}

function listOf(fields: Fields, name: string): Json[] {
  const value = fields[name];
  if (!Array.isArray(value)) throw new Malformed(name);
  return value;
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new Malformed(name);
  return value;
}

/** Whole numbers are numbers up to 2^53, and text beyond, since floats would round them. */
function wholeOf(fields: Fields, name: string): bigint {
  const value = fields[name];
  if (typeof value === "number" && Number.isInteger(value) && Math.abs(value) <= 2 ** 53) return BigInt(value);
  if (typeof value === "string" && /^-?[1-9]\d{15,}$/.test(value)) return BigInt(value);
  throw new Malformed(name);
}

interface Range {
  place: string;
  first: bigint;
  end: bigint;
  spans: bigint;
  counted: bigint;
  duplicates: bigint;
  rejected: bigint;
  inWindow: bigint;
  beginsAnew: boolean;
}

function rangesOf(source: Fields): Range[] {
  const partition = `${textOf(source, "topic")}/${wholeOf(source, "partition")}`;
  return listOf(source, "ranges").map((one) => {
    const range = fieldsOf(one, "ranges");
    const [first, end] = [wholeOf(range, "first_offset"), wholeOf(range, "end_offset")];
    return {
      place: `${partition} ${first}–${end}`,
      first,
      end,
      spans: wholeOf(range, "spans"),
      counted: wholeOf(range, "counted"),
      duplicates: wholeOf(range, "duplicates"),
      rejected: wholeOf(range, "rejected"),
      inWindow: wholeOf(range, "counted_in_window"),
      beginsAnew: range["begins_anew"] === true,
    };
  });
}

/** The first range that does not follow the one before it, or ends before it begins. */
function brokenAt(ranges: Range[]): Range | undefined {
  return ranges.find((range, at) => {
    const before = ranges[at - 1];
    return range.end < range.first || (before !== undefined && !range.beginsAnew && before.end !== range.first);
  });
}

const sum = (values: bigint[]) => values.reduce((sum, value) => sum + value, 0n);
const state = (isRight: boolean): Check["state"] => (isRight ? "ok" : "failed");

function bytesOf(hex: string, length: number): Uint8Array<ArrayBuffer> | null {
  if (hex.length !== 2 * length || !/^[0-9a-f]*$/.test(hex)) return null;
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Names of rows as one text each, in the order of their bytes where they are compared as such. */
function follows(row: Fields, before: Fields): boolean {
  const encoder = new TextEncoder();
  for (const name of ["tenant", "service", "interface"]) {
    const [a, b] = [encoder.encode(textOf(before, name)), encoder.encode(textOf(row, name))];
    for (let at = 0; at < Math.max(a.length, b.length); at += 1) {
      const [one, other] = [a[at] ?? -1, b[at] ?? -1];
      if (one !== other) return one < other;
    }
  }
  return false;
}

/** The cryptography of the browser, which pages over plain HTTP from elsewhere do not have. */
type Subtle = Pick<SubtleCrypto, "digest" | "importKey" | "verify">;

async function signatureState(document: Fields, subtle: Subtle | undefined): Promise<Check["state"]> {
  const [key, signature] = [bytesOf(textOf(document, "public_key"), 32), bytesOf(textOf(document, "signature"), 64)];
  if (!key || !signature) return "failed";
  if (!subtle) return "unknown";
  const { signature: _, ...signed } = document;
  try {
    const read = await subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
    return state(await subtle.verify({ name: "Ed25519" }, read, signature, new TextEncoder().encode(canonical(signed))));
  } catch {
    // A browser without Ed25519.
    return "unknown";
  }
}

async function hashState(document: Fields, subtle: Subtle | undefined): Promise<Check["state"]> {
  if (!subtle) return "unknown";
  const rows = new TextEncoder().encode(canonical(document["rows"] ?? null));
  const hash = new Uint8Array(await subtle.digest("SHA-256", rows));
  return state([...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("") === document["rows_sha256"]);
}

/** `expected` is the key that weir says it signs with. */
export async function checkProof(proof: unknown, expected: string | null, subtle: Subtle | undefined): Promise<Verdict> {
  try {
    return await checked(fieldsOf(proof as Json, "document"), expected, subtle);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    const none = { spans: 0n, counted: 0n, duplicates: 0n, rejected: 0n, calls: 0n };
    const checks: Check[] = [{ name: "format", state: "failed", found: { field: error.message } }];
    return { checks, state: "invalid", start: "", end: "", completeUntil: "", publicKey: "", ...none };
  }
}

async function checked(document: Fields, expected: string | null, subtle: Subtle | undefined): Promise<Verdict> {
  const version = wholeOf(document, "weir_usage_proof");
  const window = fieldsOf(document["window"], "window");
  const [start, end] = [textOf(window, "start"), textOf(window, "end")];
  const rows = listOf(document, "rows").map((row) => fieldsOf(row, "rows"));
  const publicKey = textOf(document, "public_key");
  const sources = listOf(document, "sources").map((source) => fieldsOf(source, "sources"));
  const names = sources.map((source) => `${textOf(source, "topic")}/${wholeOf(source, "partition")}`);
  const bySource = sources.map(rangesOf);
  const ranges = bySource.flat();
  const faults = listOf(document, "faults").map((fault) => fieldsOf(fault, "faults"));
  const broken = bySource.map(brokenAt).find((range) => range !== undefined);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  const total = {
    spans: sum(ranges.map((range) => range.spans)),
    counted: sum(ranges.map((range) => range.counted)),
    duplicates: sum(ranges.map((range) => range.duplicates)),
    rejected: sum(ranges.map((range) => range.rejected)),
  };
  const unbalanced = ranges.find((range) => range.spans !== range.counted + range.duplicates + range.rejected || range.inWindow > range.counted);
  const calls = sum(rows.map((row) => wholeOf(row, "calls")));
  const inWindow = sum(ranges.map((range) => range.inWindow));
  const unordered = rows.findIndex((row, at) => {
    const before = rows[at - 1];
    return before !== undefined && !follows(row, before);
  });
  const [fault] = faults;
  const checks: Check[] = [
    { name: "format", state: state(version === 1n), found: { version: String(version) } },
    { name: "key", state: expected === null ? "unknown" : state(expected === publicKey), found: { key: publicKey } },
    { name: "signature", state: await signatureState(document, subtle), found: {} },
    { name: "rows_hash", state: await hashState(document, subtle), found: { rows: rows.length } },
    { name: "window", state: state(Date.parse(start) < Date.parse(end)), found: { start, end } },
    { name: "row_order", state: state(unordered < 0), found: { rows: rows.length, row: unordered } },
    { name: "faults", state: state(!faults.length), found: { faults: faults.length, fault: fault ? canonical(fault) : "" } },
    { name: "ranges", state: state(!broken && !twice), found: { ranges: ranges.length, partitions: sources.length, place: broken?.place ?? twice ?? "" } },
    { name: "balance", state: state(!unbalanced), found: { ...texts(total), place: unbalanced?.place ?? "" } },
    { name: "calls", state: state(calls === inWindow), found: texts({ calls, inWindow }) },
  ];
  const failed = checks.some((check) => check.state === "failed");
  const partly = checks.some((check) => check.state === "unknown");
  const completeUntil = textOf(document, "complete_until");
  return { checks, state: failed ? "invalid" : partly ? "partly" : "valid", start, end, completeUntil, publicKey, calls, ...total };
}

function texts(numbers: Record<string, bigint>): Record<string, string> {
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, value.toLocaleString("en")]));
}
