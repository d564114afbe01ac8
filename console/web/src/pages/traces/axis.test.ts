import assert from "node:assert/strict";
import { test } from "node:test";
import { readView, scaled, ticks, writeView } from "./axis";

test("a stretch goes into the address and comes back", () => {
  assert.equal(writeView({ from: 0, to: 100 }, 100), null);
  assert.deepEqual(readView(writeView({ from: 12.5, to: 80 }, 100) ?? "", 100), { from: 12.5, to: 80 });
});

test("what is no stretch of this trace is the whole trace", () => {
  for (const text of ["", "x", "9-2", "500-900", "1--2", "-5-3"]) assert.deepEqual(readView(text, 100), { from: 0, to: 100 });
  assert.deepEqual(readView("", 0), { from: 0, to: 0.001 });
  assert.deepEqual(readView("50-900", 100), { from: 50, to: 100 });
});

test("zooming stays within the trace", () => {
  assert.deepEqual(scaled({ from: 0, to: 100 }, 0.5, 100), { from: 25, to: 75 });
  assert.deepEqual(scaled({ from: 0, to: 20 }, 3, 100), { from: 0, to: 60 });
  assert.deepEqual(scaled({ from: 90, to: 100 }, 100, 100), { from: 0, to: 100 });
});

test("ticks are round and inside", () => {
  assert.deepEqual(ticks({ from: 0, to: 100 }, 5), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(ticks({ from: 33, to: 61 }, 5), [40, 50, 60]);
});
