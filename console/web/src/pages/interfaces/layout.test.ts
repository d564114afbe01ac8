import assert from "node:assert/strict";
import { test } from "node:test";
import type { Dependency } from "../../lib/types/traces";
import { around, layout, NODE } from "./layout";

const call = (parent: string, child: string, more: Partial<Dependency> = {}): Dependency => ({ parent, child, calls: 1, errors: 0, p50_ms: 1, p99_ms: 1, ...more });

test("callers stand before callees, at the longest way", () => {
  const { nodes } = layout([call("gateway", "auth"), call("gateway", "llm"), call("auth", "llm"), call("llm", "db", { peer: "database" })], 200);
  const layerOf = (name: string) => nodes.find((node) => node.name === name)?.layer;
  assert.deepEqual(["gateway", "auth", "llm", "db"].map(layerOf), [0, 1, 2, 3]);
  assert.equal(nodes.find((node) => node.name === "db")?.peer, "database");
});

test("calls in a circle end, and one of them leads back", () => {
  const { nodes, edges } = layout([call("a", "b"), call("b", "c"), call("c", "a"), call("d", "d")], 200);
  assert.equal(nodes.length, 4);
  assert.equal(edges.filter(({ isBack, of }) => isBack && of.parent !== of.child).length, 1);
});

test("no two nodes lie over each other", () => {
  const names = Array.from({ length: 60 }, (_, at) => `s${at}`);
  const calls = names.flatMap((parent, at) => [1, 7, 13].map((by) => call(parent, names[(at + by) % 60] ?? "")));
  const { nodes, width, height } = layout(calls, 200);
  assert.equal(nodes.length, 60);
  for (const a of nodes) {
    assert.ok(a.x >= 0 && a.x + NODE.width <= width && a.y >= 0 && a.y + NODE.height <= height);
    for (const b of nodes) assert.ok(a === b || Math.abs(a.x - b.x) >= NODE.width || Math.abs(a.y - b.y) >= NODE.height);
  }
});

test("of very many services those with most calls are shown", () => {
  const calls = Array.from({ length: 500 }, (_, at) => call("gateway", `s${at}`, { calls: at + 1 }));
  const graph = layout(calls, 200);
  assert.deepEqual([graph.nodes.length, graph.all], [200, 501]);
  assert.ok(graph.nodes.some(({ name }) => name === "s499") && !graph.nodes.some(({ name }) => name === "s0"));
});

test("nothing is nothing", () => {
  assert.deepEqual(layout([], 200), { nodes: [], edges: [], width: 0, height: 0, all: 0 });
  assert.deepEqual(around([call("a", "b"), call("b", "c"), call("c", "d")], "b").length, 2);
});
