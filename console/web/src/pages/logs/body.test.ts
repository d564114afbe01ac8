import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hit } from "../../lib/types/logs";
import { full, line, traceOf } from "./body";

const hit = (more: Partial<Hit>): Hit => ({ id: "0-0-0", timestamp: "", tenant: "", service: "", severity: "", body: "", trace_id: "", span_id: "", resource: {}, attributes: {}, ...more });
const shown = (of: Hit) => line(of).map((span) => span.text).join("");

test("a structured body is its message and its fields", () => {
  assert.equal(shown(hit({ body: '{"level":"info","msg":"ready","n":[1,null]}' })), "ready  level=info n=[1,null] ");
  assert.equal(shown(hit({ body: { a: { b: 1 } } })), 'a={"b":1} ');
  assert.equal(shown(hit({ body: "{not json}" })), "{not json}");
  assert.equal(shown(hit({ body: null, attributes: { a: 1 } })), "a=1 ");
});

test("a huge body costs what a row shows, and shows its first match", () => {
  const body = `${"x".repeat(1_000_000)}`;
  assert.equal(shown(hit({ body })).length, 600);
  const far = hit({ body: `${"y".repeat(1000)} needle`, highlights: [[1001, 1007]] });
  assert.ok(shown(far).startsWith("… "));
  assert.ok(line(far).some((span) => span.isMatch && span.text === "needle"));
  assert.equal(full(hit({ body }), false)[0]?.text.length, 16_384);
});

test("the trace is found in the body too", () => {
  const id = "4bf92f3577b34da6a3ce929d0e0e4736";
  assert.equal(traceOf(hit({ trace_id: id })), id);
  assert.equal(traceOf(hit({ body: `x trace_id=${id} y` })), id);
  assert.equal(traceOf(hit({ body: { trace_id: id } })), id);
  assert.equal(traceOf(hit({ body: "trace_id=12" })), null);
});
