import assert from "node:assert/strict";
import { test } from "node:test";
import { ms } from "./format";

test("durations are rounded before they are split", () => {
  assert.deepEqual([119_600, 179_700, 59_997, 125_000, 999.7].map(ms), ["2 min", "3 min", "1 min", "2 min 5 s", "1 s"]);
  assert.deepEqual([0.85, 12.34, 1500, 10_920_000, 183_600_000].map(ms), ["850 µs", "12.3 ms", "1.5 s", "3 h 2 min", "2 d 3 h"]);
  assert.equal(ms(-1500), "-1.5 s");
});
