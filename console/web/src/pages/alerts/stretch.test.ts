import assert from "node:assert/strict";
import { test } from "node:test";
import { stretchOf } from "./stretch";

const NOW = Date.parse("2026-11-30T12:00:00Z");
const week = { startsAt: "2026-11-28T00:00:00Z", endsAt: "2026-12-05T00:00:00Z" };
const planned = { startsAt: "2026-12-01T00:00:00Z", endsAt: "2026-12-02T00:00:00Z" };

test("a silence that is changed keeps its time until a length is chosen", () => {
  assert.deepEqual(stretchOf(week, null, NOW), week);
  assert.deepEqual(stretchOf(week, 36e5, NOW), { startsAt: week.startsAt, endsAt: "2026-11-30T13:00:00.000Z" });
  assert.deepEqual(stretchOf(planned, 36e5, NOW), { startsAt: planned.startsAt, endsAt: "2026-12-01T01:00:00.000Z" });
});

test("a new silence begins now", () => {
  assert.deepEqual(stretchOf(undefined, 36e5, NOW), { startsAt: "2026-11-30T12:00:00.000Z", endsAt: "2026-11-30T13:00:00.000Z" });
});
