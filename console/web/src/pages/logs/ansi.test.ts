import assert from "node:assert/strict";
import { test } from "node:test";
import { characters, spans } from "./ansi";

test("plain text is one span", () => {
  assert.deepEqual(spans("<b>hello</b>"), [{ text: "<b>hello</b>", look: "", isMatch: false }]);
  assert.deepEqual(spans(""), []);
});

test("colours become classes, other sequences go", () => {
  const found = spans("\x1b[31mred\x1b[0m \x1b[1;38;5;46mgreen\x1b[2K\x1b]0;title\x07");
  assert.deepEqual(found.map(({ text, look }) => [text, look]), [["red", "ansi-1"], [" ", ""], ["green", "ansi-2 ansi-bold"]]);
});

test("control characters are shown", () => {
  assert.deepEqual(spans("a\x00b\x1b").map((span) => span.text), ["a", "^@", "b", "^["]);
  assert.equal(spans("a\nb", [], true)[0]?.text, "a ⏎ b");
});

test("matches are counted in bytes and may cross colours", () => {
  assert.deepEqual(characters("推理超时 ab", [[0, 6], [13, 15]]), [[0, 2], [5, 7]]);
  assert.deepEqual(characters("😀b", [[4, 5]]), [[2, 3]]);
  const found = spans("x\x1b[31mab\x1b[0mc", [[6, 8]]);
  assert.deepEqual(found.filter((span) => span.isMatch).map((span) => span.text), ["ab"]);
});
