import assert from "node:assert/strict";
import { test } from "node:test";
import type { Definition } from "../../lib/types/captures";
import { definitionOf, draftOf, empty, partOf, PATTERNS, twice } from "./draft";
import { captureFile } from "./yaml";

const FULL: Definition = {
  name: "ocr-failures",
  source: "spans",
  query: "service:ocr AND status:error",
  tenants: ["acme", "globex"],
  fields: { request: "attributes.gen_ai.input.messages", tokens: { from: "attributes.tokens", type: "int" } },
  sample: { ratio: 0.1, by: "row", rows_per_minute: 60, slower_than: "p99", while_firing: "Slow", errors_only: true },
  join: { within: "30s" },
  redact: [{ field: "request", patterns: ["phone_cn"], expressions: ["order-[0-9]{8}", "a|b"] }, { field: "user", method: "hmac" }],
  roll: { rows: 10, size: "64MB", age: "5m" },
  format: "jsonl",
  keep: "30d",
  when_full: "skip",
  from: "beginning",
};

test("a definition becomes a draft and the same definition again", () => {
  assert.deepEqual(definitionOf(draftOf(FULL)), FULL);
});

test("what is empty is not said, and a new capture takes personal data out of every field", () => {
  const draft = { ...empty("logs", "severity:error", "acme"), name: "errors", keep: "" };
  assert.deepEqual(definitionOf(draft), {
    name: "errors",
    source: "logs",
    query: "severity:error",
    tenants: ["acme"],
    fields: { time: "timestamp", service: "service", body: "body" },
    redact: [{ field: "*", patterns: [...PATTERNS] }],
  });
  const odd = { ...draft, ratio: "half", fields: [{ name: "", from: "", type: "" as const }], redact: [], tenants: " , " };
  assert.deepEqual(definitionOf(odd), { name: "errors", source: "logs", query: "severity:error", tenants: [], sample: { ratio: "half" } });
});

test("an error of the API is shown at its part of the form", () => {
  const draft = { ...empty("spans", "", "acme"), keep: "1x", rollSize: "12" };
  const of = (detail: string, parameter?: string) => partOf(detail, parameter, draft);
  assert.equal(of("tenants: name 1 to 1000, or `*` for all"), "tenants");
  assert.equal(of("sample.ratio: is above 0 and at most 1"), "sample");
  assert.equal(of("redact: redact rule 1, field `x`: invalid expression `(`"), "redact");
  assert.equal(of("missing field `tenants`"), "tenants");
  assert.equal(of("«1x» is not a duration such as 500ms, 30s, 5m, 1h30m or 7d"), "keep");
  assert.equal(of("anything", "query"), "query");
  assert.equal(of("the capture `a` is defined in a file: change it there"), null);
});

test("fields that are there twice are named", () => {
  const field = (name: string) => ({ name, from: "x", type: "" as const });
  assert.deepEqual(twice({ ...empty("logs", "", ""), fields: [field("a"), field("b"), field("a "), field(""), field("")] }), ["a"]);
});

test("the YAML is as captures are written in files", () => {
  assert.equal(
    captureFile({ ...FULL, name: "1", query: "it's: \"x\" #1", fields: { on: "body", "a b": "trace_id" } }),
    `captures:
  - name: '1'
    source: spans
    query: 'it''s: "x" #1'
    tenants: [acme, globex]
    fields: {'on': body, 'a b': trace_id}
    sample:
      ratio: 0.1
      by: row
      rows_per_minute: 60
      slower_than: p99
      while_firing: Slow
      errors_only: true
    join: {within: 30s}
    redact:
      - {field: request, patterns: [phone_cn], expressions: ['order-[0-9]{8}', 'a|b']}
      - {field: user, method: hmac}
    roll: {rows: 10, size: 64MB, age: 5m}
    format: jsonl
    keep: 30d
    when_full: skip
    from: beginning
`,
  );
});

test("control characters do not break out of a text", () => {
  assert.equal(captureFile({ name: "a\nevil: 1" }), 'captures:\n  - name: "a\\nevil: 1"\n');
});
