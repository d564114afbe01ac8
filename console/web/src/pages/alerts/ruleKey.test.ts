import assert from "node:assert/strict";
import { test } from "node:test";
import type { Rule } from "../../lib/types/alerts";
import { ruleKey } from "./ruleKey";

const rule = (name: string, line: number) => ({ name, line }) as Rule;

test("rules of one name are told apart by their line", () => {
  const rules = [rule("Slow", 3), rule("Slow", 9), rule("Down", 15)];
  assert.deepEqual(rules.map((one) => ruleKey({ name: "ocr", rules }, one)), ["ocr/Slow:3", "ocr/Slow:9", "ocr/Down"]);
});

test("a group of thousands takes no time", () => {
  const rules = Array.from({ length: 50_000 }, (_, at) => rule(`Rule${at % 40_000}`, at));
  const begin = performance.now();
  for (const one of rules) ruleKey({ name: "big", rules }, one);
  assert.ok(performance.now() - begin < 2000);
});
