import assert from "node:assert/strict";
import { test } from "node:test";
import { cellsOf, cellText, rowsOverTime } from "./rows";

test("cells are in the order of the columns, and what weir adds is last", () => {
  const schema = ["body", "service", "_tenant"].map((name) => ({ name, type: "string" }));
  const row = { _incomplete: false, _tenant: "acme", odd: { a: 1 }, service: "ocr", body: "x", trace: null };
  assert.deepEqual(cellsOf(row, schema), [["body", "x"], ["service", "ocr"], ["odd", '{"a":1}'], ["_tenant", "acme"]]);
  assert.equal(cellText(undefined), "");
});

test("rows of files are summed by time, whatever times they have", () => {
  const file = (created: string, rows: number) => ({ created, rows });
  const files = [file("2026-11-30T00:00:00Z", 5), file("2026-11-30T01:00:00Z", 7), file("2026-11-30T00:01:00Z", 1), file("never", 9)];
  assert.deepEqual(rowsOverTime(files, 4), [6, 0, 0, 7]);
  assert.deepEqual(rowsOverTime([], 2), [0, 0]);
  assert.deepEqual(rowsOverTime([file("2026-11-30T00:00:00Z", 5)], 2), [5, 0]);
});
