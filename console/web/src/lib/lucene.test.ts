import assert from "node:assert/strict";
import { test } from "node:test";
import { quoted, term } from "./lucene";

test("what is no plain word stands within quotes, line feeds as they are", () => {
  assert.deepEqual(["ocr-1.2", "识别", "a b", "AND", '"\\', "", "a\nb\t"].map(quoted), ["ocr-1.2", "识别", '"a b"', '"AND"', '"\\"\\\\"', '""', '"a\nb\t"']);
  assert.equal(term("hw.id", 'a"b'), 'hw.id:"a\\"b"');
});
