import assert from "node:assert/strict";
import { test } from "node:test";
import { money, sumOf } from "./decimal";
import { csvLine } from "./download";

test("sums are exact where floats are not", () => {
  assert.equal(sumOf(["0.1", "0.2"]), "0.3");
  assert.equal(sumOf(["110.294000", "0.000001", null, undefined]), "110.294001");
  assert.equal(sumOf(["9007199254740993.01", "-0.02"]), "9007199254740992.99");
  assert.equal(sumOf(["-1.5", "0.25"]), "-1.25");
  assert.equal(sumOf(["-0.5"]), "-0.5");
});

test("without amounts there is no sum, which is not the same as zero", () => {
  assert.equal(sumOf([]), null);
  assert.equal(sumOf([null, "much"]), null);
  assert.equal(sumOf(["0"]), "0");
});

test("money has its digits, small prices all of them, and an odd currency is shown as it is", () => {
  assert.equal(money("1234.567000", "CNY"), "CN¥1,234.57");
  assert.equal(money("0.004", "CNY"), "CN¥0.004");
  assert.equal(money("12345678901234567890.12", "USD"), "$12,345,678,901,234,567,890.12");
  assert.equal(money("1.00", "<b>"), "1.00 <b>");
});

test("a formula in a CSV file is text, and quotes are doubled", () => {
  assert.equal(csvLine(["=1+1", 'a "b", c', -5, null, "-2.5"]), '\'=1+1,"a ""b"", c",-5,,-2.5\r\n');
});
