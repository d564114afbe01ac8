import assert from "node:assert/strict";
import { test } from "node:test";
import { bounds, durationAt, durationTicks, nearest, type Plane, timeAt, timeTicks, x, y } from "./plane";

const plane: Plane = { width: 1000, height: 200, from: 1e12, to: 1e12 + 9e5, least: 1, most: 1000, log: true };

test("a place leads back to what stands there", () => {
  for (const log of [true, false]) {
    assert.ok(Math.abs(durationAt({ ...plane, log }, y({ ...plane, log }, 50)) - 50) < 1e-6);
  }
  assert.ok(Math.abs(timeAt(plane, x(plane, 1e12 + 1234)) - (1e12 + 1234)) < 1e-3);
});

test("what lies outside stays at the edge", () => {
  assert.equal(y(plane, 0), y(plane, 1));
  assert.equal(durationAt(plane, -50), 1000);
});

test("the axis holds all durations, also where there are none or all are 0", () => {
  assert.deepEqual(bounds([], true), { least: 0.1, most: 10 });
  assert.deepEqual(bounds([0, 0], false), { least: 0, most: 10 });
  const { least, most } = bounds([0, 5, 1e4], true);
  assert.ok(least > 0 && most > 1e4);
});

test("ticks are round and few", () => {
  assert.deepEqual(durationTicks(plane), [1, 10, 100, 1000]);
  assert.deepEqual(durationTicks({ ...plane, least: 4, most: 60 }), [5, 10, 20, 50]);
  assert.deepEqual(durationTicks({ ...plane, log: false, least: 0, most: 100 }), [0, 50, 100]);
  assert.ok(timeTicks(plane).ticks.length <= 10);
});

test("the nearest point within reach is found", () => {
  const points = [{ x: 0, y: 0 }, { x: 10, y: 0 }];
  assert.deepEqual([nearest(points, 8, 1, 5), nearest(points, 50, 50, 5)], [1, null]);
});
