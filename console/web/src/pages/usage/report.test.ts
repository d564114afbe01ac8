import assert from "node:assert/strict";
import { test } from "node:test";
import type { UsageRow } from "../../lib/types/usage";
import { byTime, levelOf, measuresOf, stacks } from "./report";

const row = (start: string, tenant: string, calls: number, amount: string | null): UsageRow => ({
  start,
  end: start,
  tenant,
  service: null,
  interface: null,
  calls,
  errors: 1,
  request_bytes: 0,
  response_bytes: 0,
  input_tokens: 0,
  output_tokens: 2,
  gpu_seconds: 0,
  energy_joules: 0,
  p50_ms: 5,
  p99_ms: 9,
  amount,
  currency: "CNY",
});
const DAYS = ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"];
const TIMES = DAYS.map((day) => Date.parse(day) / 1e3);

test("a report is split by the next level that is not chosen, and at last by time", () => {
  const none = { tenant: "", service: "", interface: "" };
  assert.equal(levelOf("", none), "tenant");
  assert.equal(levelOf("interface", none), "interface");
  assert.equal(levelOf("tenant", { ...none, tenant: "acme" }), "service", "it is chosen already");
  assert.equal(levelOf("", { tenant: "acme", service: "ocr", interface: "x" }), "time");
  assert.equal(levelOf("time", none), "time");
});

test("stacks are the greatest first, and the rest is one", () => {
  const rows = [..."abcdefghij"].map((name, at) => row(DAYS[at % 2] ?? "", name, at + 1, null));
  const { named, others } = stacks(rows, TIMES, (row) => row.tenant ?? "", "calls", 3);
  assert.deepEqual(named.map((stack) => stack.name), ["j", "i", "h"]);
  assert.equal(others?.total, 28);
  assert.deepEqual(others?.values, [16, 12]);
  const few = stacks(rows.slice(0, 4), TIMES, (row) => row.tenant ?? "", "calls", 3);
  assert.deepEqual([few.named.length, few.others], [4, null], "one is not put into a rest of one");
});

test("days add up exactly, and a sum has no quantiles", () => {
  const [second, first] = byTime([row(DAYS[0] ?? "", "a", 1, "0.1"), row(DAYS[1] ?? "", "a", 5, "3"), row(DAYS[0] ?? "", "b", 2, "0.2")]);
  assert.deepEqual([first?.calls, first?.amount, first?.p99_ms, first?.errors], [3, "0.3", null, 2]);
  assert.deepEqual([second?.calls, second?.amount, second?.p99_ms], [5, "3", 9]);
});

test("only what there is something of can be chosen", () => {
  assert.deepEqual(measuresOf(row(DAYS[0] ?? "", "a", 0, null)), ["calls", "errors", "tokens"]);
  assert.deepEqual(measuresOf({ ...row(DAYS[0] ?? "", "a", 0, "0"), errors: 0, gpu_seconds: 9 }), ["amount", "calls", "tokens", "gpu_hours"]);
});
