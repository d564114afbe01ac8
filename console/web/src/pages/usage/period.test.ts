import assert from "node:assert/strict";
import { test } from "node:test";
import { cuts, isWholeHours, monthBefore, rangeOf, startOf, stepOf, stepText } from "./period";

const at = (text: string) => Date.parse(text);
const NOW = at("2026-11-30T17:20:00Z");

test("a month begins where its zone's clocks say so", () => {
  assert.equal(startOf("month", NOW, "UTC"), at("2026-11-01T00:00:00Z"));
  assert.equal(startOf("month", NOW, "Asia/Shanghai"), at("2026-11-30T16:00:00Z"), "it is December there");
  assert.deepEqual(rangeOf("last_month", NOW, "UTC"), { from: at("2026-10-01T00:00:00Z"), to: at("2026-11-01T00:00:00Z") });
  assert.equal(monthBefore(NOW, "UTC"), "2026-10");
  assert.equal(monthBefore(NOW, "Asia/Shanghai"), "2026-11");
  assert.equal(monthBefore(at("2026-01-05T00:00:00Z"), "UTC"), "2025-12");
});

test("hours, days and months are called what they are in their zone", () => {
  const start = at("2026-10-31T16:00:00Z");
  assert.deepEqual((["hour", "day", "month"] as const).map((step) => stepText(start, step, "Asia/Shanghai")), ["2026-11-01 00:00", "2026-11-01", "2026-11"]);
  assert.equal(stepText(start, "day", "UTC"), "2026-10-31");
});

test("a day is as long as its zone's clocks make it", () => {
  const range = { from: at("2026-10-24T00:00:00+02:00"), to: at("2026-10-27T00:00:00+01:00") };
  const days = cuts(range, "day", "Europe/Berlin").map((second) => new Date(second * 1e3).toISOString());
  assert.deepEqual(days, ["2026-10-23T22:00:00.000Z", "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"]);
});

test("hours are of UTC and whole; the seven days end with today", () => {
  const range = { from: at("2026-11-30T10:10:00Z"), to: at("2026-11-30T12:30:00Z") };
  assert.equal(cuts(range, "hour", "UTC").length, 3);
  assert.equal(rangeOf("7d", NOW, "UTC").from, at("2026-11-24T00:00:00Z"));
  assert.equal(cuts(rangeOf("7d", NOW, "UTC"), "day", "UTC").length, 7);
});

test("short times are cut into hours, long ones into months", () => {
  const days = (n: number) => stepOf({ from: NOW - n * 864e5, to: NOW });
  assert.deepEqual([days(1), days(3), days(31), days(365)], ["hour", "hour", "day", "month"]);
  assert.equal(isWholeHours("Asia/Kolkata", NOW), false);
  assert.equal(isWholeHours("Asia/Shanghai", NOW), true);
});
