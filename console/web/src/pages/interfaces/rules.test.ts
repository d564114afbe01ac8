import assert from "node:assert/strict";
import { test } from "node:test";
import type { Alert, Rules, Transition } from "../../lib/types/alerts";
import { firings, limitsOf } from "./rules";

const subject = { service: "ocr", interface: "POST /v1/ocr" };

function rules(...list: [expr: string, op: string, value: number][]): Rules {
  const all = list.map(([expr, op, value], at) => ({ name: `R${at}`, type: "alerting", expr: `${expr} ${op} ${value}`, threshold: { expr, op, value } }));
  return { groups: [{ name: "g", rules: all }] } as unknown as Rules;
}

test("thresholds are told apart by what they measure", () => {
  const limits = limitsOf(
    rules(
      ["histogram_quantile(0.99, sum by (service) (rate(weir_call_duration_seconds[1m])))", ">", 1.2],
      ['sum(rate(weir_calls_total{outcome="error"}[1m])) / sum(rate(weir_calls_total[1m]))', ">", 0.1],
      ["sum(rate(weir_calls_total[1m]))", "<", 1],
      ["histogram_quantile(0.5, rate(weir_call_time_to_first_token_seconds[1m]))", ">", 2],
      ["up", "<", 1],
    ),
    subject,
  );
  assert.deepEqual(limits.map(({ measure, value, quantile }) => [measure, value, quantile]), [["duration", 1.2, 0.99], ["errors", 0.1, null], ["calls", 1, null], ["first_token", 2, 0.5]]);
});

test("rules about other interfaces are left out", () => {
  const of = (selector: string) => limitsOf(rules([`rate(weir_call_duration_seconds{${selector}}[1m])`, ">", 1]), subject).length;
  assert.deepEqual([of('service="ocr"'), of('service="asr"'), of('service=~"o.*|asr"'), of('service!="ocr"'), of('interface!~"POST .*"'), of('tenant="x"'), of('service=~"(?i"')], [1, 0, 1, 0, 0, 1, 1]);
});

const labels = { alertname: "Slow", service: "ocr", interface: "POST /v1/ocr" };
const change = (second: number, state: string, more: object = {}) => ({ labels: { ...labels, ...more }, state, time: new Date(second * 1e3).toISOString() }) as unknown as Transition;

test("firing lasts until it is resolved, or until now", () => {
  const found = firings([change(30, "resolved"), change(20, "firing"), change(15, "pending"), change(12, "inactive"), change(50, "firing")], [], subject, 0, 100);
  assert.deepEqual(found, [{ rule: "Slow", from: 20, to: 30 }, { rule: "Slow", from: 50, to: 100 }]);
});

test("what fired before the stretch is shown from its start", () => {
  assert.deepEqual(firings([change(30, "resolved")], [], subject, 10, 100), [{ rule: "Slow", from: 10, to: 30 }]);
  const alert = { labels, state: "firing", fired_at: new Date(5e3).toISOString() } as unknown as Alert;
  assert.deepEqual(firings([], [alert], subject, 10, 100), [{ rule: "Slow", from: 10, to: 100 }]);
});

test("alerts of others are left out; those of the whole service are not", () => {
  const others = [change(20, "firing", { service: "asr" }), change(20, "firing", { interface: "POST /v2" })];
  assert.deepEqual(firings(others, [], subject, 0, 100), []);
  assert.equal(firings([{ ...change(20, "firing"), labels: { alertname: "Down", service: "ocr" } }], [], subject, 0, 100).length, 1);
});
