import assert from "node:assert/strict";
import { test } from "node:test";
import { bySeverity, histogram } from "./severity";

test("steps without lines are there, levels stand in their order", () => {
  const answer = {
    interval_seconds: 60,
    indexed_until: "",
    gaps: [],
    buckets: [{ start: "1970-01-01T00:02:00Z", count: 6, other: 1, values: { INFO: 2, ERROR2: 2, ERROR: 1 } }],
  };
  const { times, levels } = histogram(answer, 65_000, 240_000);
  assert.deepEqual(times, [60, 120, 180]);
  assert.deepEqual(levels.map(({ level, values }) => [level, values]), [
    ["ERROR", [null, 3, null]],
    ["INFO", [null, 2, null]],
    ["", [null, 1, null]],
  ]);
});

test("severities stand from the worst to the least", () => {
  const values = ["INFO", "ERROR2", "custom", "FATAL", "ERROR"].map((value) => ({ value }));
  assert.deepEqual(values.sort(bySeverity).map(({ value }) => value), ["FATAL", "ERROR", "ERROR2", "INFO", "custom"]);
});
