import assert from "node:assert/strict";
import { test } from "node:test";
import { bySeverity, histogram, isCounted, joined } from "./severity";

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

test("words and fields are counted, and what has to be looked for in lines is not", () => {
  for (const query of ["", "timeout", "service:ocr AND NOT severity:debug", "连接 重置"]) assert.ok(isCounted(query), query);
  for (const query of ["time*", "/a|b/", '"connection reset"', "ms:>5", "ms:[1 TO 2]", "tmeout~1"]) assert.ok(!isCounted(query), query);
});

test("levels stand beside the count of all, in the steps that have them", () => {
  const answer = (buckets: [string, number][]) => ({
    interval_seconds: 60,
    indexed_until: "",
    gaps: [],
    buckets: buckets.map(([start, count]) => ({ start, count, other: 0, values: {} })),
  });
  const none = answer([]);
  const all = joined(answer([["a", 5], ["b", 2]]), [none, answer([["a", 1]]), answer([["a", 2], ["b", 2]]), none, none, none]);
  assert.deepEqual(all.buckets, [
    { start: "a", count: 5, other: 0, values: { ERROR: 1, WARN: 2 } },
    { start: "b", count: 2, other: 0, values: { WARN: 2 } },
  ]);
});
