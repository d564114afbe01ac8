import assert from "node:assert/strict";
import { test } from "node:test";
import { linearTicks, logTicks, nice } from "./ticks";

test("steps are 1, 2 or 5 times a power of ten", () => {
  assert.deepEqual([nice(3), nice(0.02), nice(70), nice(5)], [5, 0.02, 100, 5]);
});

test("ticks lie within the stretch, at round values", () => {
  assert.deepEqual(linearTicks(0, 100, 5), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(linearTicks(33, 61, 5), [40, 50, 60]);
  assert.deepEqual(logTicks(1, 1000), [1, 10, 100, 1000]);
  assert.deepEqual(logTicks(4, 60), [5, 10, 20, 50]);
  assert.deepEqual(logTicks(1.1, 2.3), [1.5, 2]);
});
