import assert from "node:assert/strict";
import { test } from "node:test";
import { axisTicks, bars, placeOf } from "./latency";

test("every call is in one bar", () => {
  const slots = [1, 2, 4, 50, 900, 901].map((at) => ({ from_ms: at, to_ms: at + 1, count: at }));
  const found = bars(slots, 40);
  assert.equal(found?.bars.reduce((sum, bar) => sum + bar.count, 0), 1 + 2 + 4 + 50 + 900 + 901);
  assert.ok(found && placeOf(found, 0) === 0 && placeOf(found, 1e9) === 1);
  assert.ok(found && axisTicks(found).length >= 3 && axisTicks(found).length <= 8);
});

test("calls that all took as long are one bar, and none are none", () => {
  assert.equal(bars([{ from_ms: 1499, to_ms: 1507, count: 5 }], 10)?.most, 5);
  assert.equal(bars([{ from_ms: 0, to_ms: 0, count: 5 }], 10)?.most, 5);
  assert.equal(bars([], 10), null);
});
