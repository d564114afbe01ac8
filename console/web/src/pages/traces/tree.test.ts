import assert from "node:assert/strict";
import { test } from "node:test";
import type { Span } from "../../lib/types/traces";
import { criticalSegments } from "./critical";
import { ancestors, selfTime, skew, tree, unfolded } from "./tree";

/** A span of `start` to `end` in milliseconds after a second. */
function span(span_id: string, parent_span_id: string, start: number, end: number, more: Partial<Span> = {}): Span {
  const time = (ms: number) => new Date(1.7e12 + ms).toISOString();
  const status = { code: "unset", message: "" } as const;
  return { span_id, parent_span_id, service: "a", tenant: "t", name: span_id, kind: "internal", start: time(start), end: time(end), duration_ns: (end - start) * 1e6, status, attributes: {}, resource: {}, scope: "", scope_attributes: {}, events: [], links: [], ...more };
}

const names = (spans: Span[]) => {
  const built = tree(spans);
  return built.order.map((at) => `${"-".repeat(built.nodes[at]?.depth ?? 0)}${built.nodes[at]?.span.name}`);
};

test("spans stand below their parents, by start", () => {
  assert.deepEqual(names([span("late", "root", 50, 60), span("root", "", 0, 100), span("leaf", "late", 55, 56), span("early", "root", 10, 20)]), ["root", "-early", "-late", "--leaf"]);
});

test("spans whose parent is missing are roots and say so", () => {
  const built = tree([span("a", "gone", 5, 9), span("b", "a", 6, 7), span("root", "", 0, 10)]);
  assert.deepEqual(built.order.map((at) => built.nodes[at]?.isOrphan), [false, true, false]);
});

test("circles are broken and nothing is lost", () => {
  assert.deepEqual(names([span("a", "b", 0, 9), span("b", "a", 1, 8), span("self", "self", 2, 3)]).length, 3);
});

test("a client and a server that share an id are caller and callee", () => {
  const client = span("x", "root", 1, 9, { kind: "client", name: "client" });
  const server = span("x", "root", 2, 8, { kind: "server", name: "server", service: "b" });
  const below = [span("of client", "x", 3, 4), span("of server", "x", 3, 4, { service: "b" }), span("of another", "x", 3, 4, { service: "c" })];
  assert.deepEqual(names([span("root", "", 0, 10), server, client, ...below]), ["root", "-client", "--server", "---of server", "---of another", "--of client"]);
});

test("a clock that is a day off does not stretch the axis", () => {
  const built = tree([span("root", "", 0, 100), span("a", "root", 10, 20), span("off", "root", 864e5, 864e5 + 5)]);
  assert.equal(built.duration, 100);
  assert.deepEqual(built.nodes.map((node) => node.isFarOff), [false, false, true]);
});

test("nanoseconds are kept", () => {
  const built = tree([span("a", "", 0, 1, { start: "2026-11-30T13:55:10.281000100Z" }), span("b", "a", 0, 1, { start: "2026-11-30T13:55:10.281000300Z" })]);
  assert.ok(Math.abs((built.nodes[1]?.start ?? 0) - 0.0002) < 1e-7);
});

test("times and durations that cannot be read are 0", () => {
  const built = tree([span("a", "", 0, 1, { start: "soon", duration_ns: Number.NaN }), span("b", "", 0, 1, { start: "", duration_ns: -5 })]);
  assert.deepEqual([built.duration, built.order.length], [0, 2]);
  assert.deepEqual(tree([]).order, []);
});

test("self time is what no child took", () => {
  const built = tree([span("root", "", 0, 100), span("a", "root", 10, 50), span("b", "root", 30, 60), span("c", "root", 90, 200)]);
  assert.equal(selfTime(built, 0), 40);
});

test("skew is how far a span lies outside its parent", () => {
  const built = tree([span("root", "", 0, 100), span("before", "root", -20, 10), span("after", "root", 150, 160), span("queued", "root", 150, 160, { kind: "consumer" })]);
  assert.deepEqual([0, 1, 2, 3].map((at) => skew(built, at)), [0, -20, 50, 0]);
});

test("what is folded hides all that is below it", () => {
  const built = tree([span("root", "", 0, 9), span("a", "root", 1, 5), span("b", "a", 2, 3), span("c", "root", 6, 7)]);
  assert.deepEqual(unfolded(built, new Set(["a"])).map((at) => built.nodes[at]?.span.name), ["root", "a", "c"]);
  assert.deepEqual(ancestors(built, 2), [1, 0]);
});

test("a chain of 50,000 spans is built without recursion", () => {
  const chain = Array.from({ length: 50_000 }, (_, at) => span(`s${at}`, at ? `s${at - 1}` : "", 0, 10));
  const built = tree(chain);
  assert.equal(built.nodes[49_999]?.depth, 49_999);
  assert.equal(built.nodes[0]?.below, 49_999);
});

test("the critical path goes from the end back through what ended last", () => {
  const built = tree([span("root", "", 0, 100), span("a", "root", 10, 50), span("b", "root", 30, 90), span("of b", "b", 40, 60), span("outside", "root", 95, 300, { kind: "consumer" })]);
  const segments = (at: number) => criticalSegments({ ...built, duration: 100 }).get(at);
  assert.deepEqual([segments(0), segments(1), segments(2), segments(3)], [[[90, 95], [0, 30]], undefined, [[60, 90], [30, 40]], [[40, 60]]]);
});

test("the critical path of all spans together is as long as the trace", () => {
  const spans = [span("root", "", 0, 1000), ...Array.from({ length: 300 }, (_, at) => span(`s${at}`, at % 7 ? `s${Math.floor(at / 7) * 7}` : "root", (at * 37) % 900, ((at * 37) % 900) + 10 + (at % 90)))];
  const all = [...criticalSegments(tree(spans)).values()].flat();
  assert.equal(all.reduce((sum, [from, to]) => sum + to - from, 0), 1000);
});
