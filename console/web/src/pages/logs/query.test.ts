import assert from "node:assert/strict";
import { test } from "node:test";
import { quoted } from "../../lib/lucene";
import { and, choiceOf, clauses, errorAt, toggled, without } from "./query";

test("clauses are what must all hold", () => {
  assert.deepEqual(clauses('service:ocr AND "a b" NOT x'), ["service:ocr", '"a b"', "NOT x"]);
  assert.deepEqual(clauses("severity:IN [a b] timeout"), ["severity:IN [a b]", "timeout"]);
  assert.deepEqual(clauses("service: ocr"), ["service:ocr"]);
  assert.deepEqual(clauses(""), []);
  assert.equal(clauses("a OR b"), null);
});

test("a condition joins what is there", () => {
  assert.equal(and("", "a:b"), "a:b");
  assert.equal(and("x", "a:b"), "x AND a:b");
  assert.equal(and("x OR y", "a:b"), "(x OR y) AND a:b");
  assert.equal(and("a:b", "a:b"), "a:b");
});

test("a click asks for a value, the next excludes it, the next lets go of it", () => {
  const once = toggled("timeout", "service", "ocr");
  assert.equal(once, "timeout AND service:ocr");
  const twice = toggled(once, "service", "ocr");
  assert.equal(twice, "timeout AND NOT service:ocr");
  assert.equal(toggled(twice, "service", "ocr"), "timeout");
  assert.equal(toggled(once, "service", "asr"), "timeout AND service:(ocr OR asr)");
  assert.equal(toggled("service:(ocr OR asr)", "service", "asr"), "service:ocr");
  assert.equal(toggled("", "service", "ocr", true), "NOT service:ocr");
  assert.equal(toggled("a OR b", "service", "ocr"), "(a OR b) AND service:ocr");
});

test("what a query chooses of a field is read back", () => {
  assert.deepEqual(choiceOf('resource.host.name:"a b" AND NOT host.name:c', "host.name"), { include: ["a b"], exclude: ["c"] });
  assert.deepEqual(choiceOf("severity:(ERROR OR WARN)", "severity"), { include: ["ERROR", "WARN"], exclude: [] });
  assert.deepEqual(choiceOf("severity:>=warn service:o*", "severity"), { include: [], exclude: [] });
  assert.equal(without("severity:ERROR x", "severity"), "x");
});

test("values are quoted where they need it", () => {
  assert.equal(quoted("ocr-0"), "ocr-0");
  assert.equal(quoted("语音"), "语音");
  assert.equal(quoted("OR"), '"OR"');
  assert.equal(quoted('a "b" \\'), '"a \\"b\\" \\\\"');
  assert.deepEqual(choiceOf(toggled("", "f", 'a "b" \\'), "f").include, ['a "b" \\']);
});

test("a byte of a message is a character of the query", () => {
  assert.equal(errorAt("推理 AND (", "at byte 12: expected a word"), 8);
  assert.equal(errorAt("a", "no place"), null);
});
