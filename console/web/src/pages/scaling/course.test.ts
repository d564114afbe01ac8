import assert from "node:assert/strict";
import { test } from "node:test";
import type { Scaler } from "../../lib/types/scaling";
import { courseOf, log, named, stateOf } from "./course";

const NOW = Date.parse("2026-11-30T14:00:00Z");
const at = (seconds: number) => new Date(NOW + seconds * 1e3).toISOString();
const SCALER: Scaler = {
  kind: "keda",
  namespace: "team-a",
  name: "ocr",
  tenant: "acme",
  metric: "m",
  query: "q",
  selector: "",
  target: 10,
  activation_target: 0,
  first_asked: at(-600),
  last_asked: at(-5),
  asked: 40,
  value: 12,
  active: true,
  error: null,
  event_time: at(-6),
};

test("the state is what one would look at first", () => {
  const of = (changes: Partial<Scaler>) => stateOf({ ...SCALER, ...changes }, NOW);
  assert.equal(of({}), "over");
  assert.equal(of({ value: 10 }), "within");
  assert.equal(of({ active: false, value: 0 }), "idle");
  assert.equal(of({ error: "the data are late", value: null }), "error");
  assert.equal(of({ last_asked: at(-301), error: "the data are late" }), "silent");
  assert.equal(of({ target: null }), "answered");
});

test("changes go on until the last time one asked, errors are gaps with a mark", () => {
  const changes = [
    { at: at(-600), value: 4, active: true, error: null },
    { at: at(-300), value: null, active: null, error: "late by 5 s" },
    { at: at(-100), value: 12, active: true, error: null },
  ];
  const course = courseOf({ ...SCALER, changes }, { from: NOW - 400e3, to: NOW });
  const seconds = course.times.map((time) => time - NOW / 1e3);
  assert.deepEqual(seconds, [-400, -300, -100, -5]);
  assert.deepEqual(course.values, [4, null, 12, 12]);
  assert.deepEqual(course.errors.map(({ error }) => error), ["late by 5 s"]);
  assert.deepEqual(log({ ...SCALER, changes }, 9).map((run) => [run.at - NOW / 1e3, run.until - NOW / 1e3, run.value]), [
    [-100, -5, 12],
    [-300, -300, null],
    [-600, -600, 4],
  ]);
});

test("a history has each point's own target", () => {
  const point = (seconds: number, value: number, target: number) => ({ time: at(seconds), value, error: null, target });
  const history = [point(-20, 1, 5), point(-10, 2, 5), point(-5, 2, 8)];
  const course = courseOf({ ...SCALER, history, changes: [] }, { from: NOW - 60e3, to: NOW });
  assert.deepEqual([course.values, course.targets], [[1, 2, 2], [5, 5, 8]]);
  assert.deepEqual(courseOf(SCALER, { from: 0, to: NOW }).times, [], "nothing is known");
});

test("each scaler has a name of its own", () => {
  const ids = named([SCALER, { ...SCALER, query: "other" }, { ...SCALER, selector: "service=ocr" }]).map(({ id }) => id);
  assert.deepEqual(ids, ["team-a/ocr/m", "team-a/ocr/m~2", "team-a/ocr/m/service=ocr"]);
});
