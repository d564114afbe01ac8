import assert from "node:assert/strict";
import { test } from "node:test";
import { matching, readGroups, rows } from "./rows";

const of = (service: string, more: object = {}) => ({ tenant: "acme", service, interface: "POST /", ...more });

test("outcomes are summed, and the share of errors is theirs", () => {
  const [row] = rows({
    calls: [{ labels: of("ocr", { outcome: "ok" }), value: 9 }, { labels: of("ocr", { outcome: "error" }), value: 1 }],
    p50: [{ labels: of("ocr"), value: 0.1 }],
    p99: [{ labels: of("ocr"), value: Number.NaN }],
    tokens: [{ labels: of("ocr", { direction: "input" }), value: 5 }, { labels: of("ocr", { direction: "output" }), value: 2 }],
    callsOver: { times: [1, 2], step: 1, series: [{ labels: of("ocr"), values: [1, null] }] },
  });
  assert.deepEqual([row?.calls, row?.errors, row?.p50, row?.p99, row?.input, row?.output, row?.callsOver], [10, 0.1, 0.1, null, 5, 2, [1, null]]);
});

test("what was not called is no row, and measures of others are left out", () => {
  const found = rows({ calls: [{ labels: of("old", { outcome: "ok" }), value: 0 }], p50: [{ labels: of("ghost"), value: 1 }], p99: [], tokens: [] });
  assert.deepEqual(found, []);
});

test("groups come from the address in their order", () => {
  assert.deepEqual(readGroups("interface,service"), ["service", "interface"]);
  assert.deepEqual(readGroups("nonsense"), ["tenant", "service", "interface"]);
});

test("rows are found by words of any of their names", () => {
  const all = rows({ calls: ["ocr", "asr"].map((service) => ({ labels: of(service, { outcome: "ok" }), value: 1 })), p50: [], p99: [], tokens: [] });
  assert.deepEqual(matching(all, "ACME ocr").map((row) => row.service), ["ocr"]);
  assert.equal(matching(all, " ").length, 2);
});
