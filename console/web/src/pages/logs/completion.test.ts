import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldSuggestions, taken, target, valueSuggestions } from "./completion";

const at = (query: string, caret = query.length) => {
  const { field, prefix, start, end } = target(query, caret);
  return [field, prefix, query.slice(start, end)];
};

test("the word at the cursor is a field or a field's value", () => {
  assert.deepEqual(at("serv"), [null, "serv", "serv"]);
  assert.deepEqual(at("service:o"), ["service", "o", "o"]);
  assert.deepEqual(at("a AND (severity:>=w"), ["severity", "w", "w"]);
  assert.deepEqual(at('resource.host.name:"a b'), ["resource.host.name", "a b", '"a b']);
  assert.deepEqual(at("NOT service:"), ["service", "", ""]);
  assert.deepEqual(at("x "), [null, "", ""]);
  assert.deepEqual(at("service:ocr x", 9), ["service", "o", "ocr"]);
});

test("a choice takes the word's place", () => {
  const query = "serv AND x";
  const field = fieldSuggestions([{ name: "service", count: 1, types: {} }], "serv")[0];
  assert.ok(field);
  assert.deepEqual(taken(query, target(query, 4), field), { query: "service: AND x", caret: 8 });
  const value = valueSuggestions([{ value: "a b", count: 1 }], "a")[0];
  assert.ok(value);
  assert.deepEqual(taken("f:a", target("f:a", 3), value), { query: 'f:"a b" ', caret: 8 });
});

test("names that begin so come first", () => {
  const fields = ["resource.service.name", "attributes.a.service", "service", "other"].map((name) => ({ name, count: 1, types: {} }));
  assert.deepEqual(fieldSuggestions(fields, "serv").map((one) => one.label), ["service", "attributes.a.service", "resource.service.name"]);
});

test("a query of any length takes no time", () => {
  const begin = performance.now();
  target(`${"-".repeat(50_000)})`, 50_001);
  assert.ok(performance.now() - begin < 500);
});
