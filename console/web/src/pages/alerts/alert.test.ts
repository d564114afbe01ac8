import assert from "node:assert/strict";
import { test } from "node:test";
import type { Alert } from "../../lib/types/alerts";
import { fingerprint, group, lines, list, matches, shownState, wordsOf } from "./alert";
import { only } from "./chart";
import { courses } from "./intervals";
import { linksOf } from "./links";
import { fault, matcherOf, matchesAll, matchersText, readMatchers, silences } from "./matchers";
import { ticks } from "./ticks";
import { valueText } from "./value";

function alert(labels: Record<string, string>, more: Partial<Alert> = {}): Alert {
  const status = { state: "active" as const, silencedBy: [], inhibitedBy: [] };
  return { state: "firing", status, labels, annotations: {}, value: 1, active_at: "2026-11-30T10:00:00Z", fired_at: "2026-11-30T10:01:00Z", resolved_at: null, group: "g", file: "f", rule: labels.alertname ?? "", expr: "up", ...more };
}

test("a silenced alert is told apart from an inhibited one and from one that fires", () => {
  assert.equal(shownState(alert({})), "firing");
  assert.equal(shownState(alert({}, { status: { state: "suppressed", silencedBy: ["1"], inhibitedBy: ["2"] } })), "silenced");
  assert.equal(shownState(alert({}, { status: { state: "suppressed", silencedBy: [], inhibitedBy: ["2"] } })), "inhibited");
  assert.equal(shownState(alert({}, { state: "resolved", status: { state: "suppressed", silencedBy: ["1"], inhibitedBy: [] } })), "resolved");
});

test("a fingerprint does not depend on the order of labels, and tells values from names", () => {
  assert.equal(fingerprint({ a: "1", b: "2" }), fingerprint({ b: "2", a: "1" }));
  assert.notEqual(fingerprint({ a: "1", b: "2" }), fingerprint({ a: "2", b: "1" }));
  assert.notEqual(fingerprint({ a: "1" }, "x"), fingerprint({ a: "1" }, "y"));
});

test("the filter takes words, labels and what must not be there", () => {
  const [one] = list([alert({ alertname: "Slow", service: "ocr" }, { annotations: { summary: "P99 is 2 s" } })]);
  assert.ok(one);
  assert.ok(matches(one, wordsOf("p99 service=ocr")));
  assert.ok(matches(one, wordsOf('service="ocr"')));
  assert.ok(!matches(one, wordsOf("-ocr")));
  assert.ok(!matches(one, wordsOf("asr")));
});

test("6,000 alerts are listed, filtered and grouped without a search for each", () => {
  const all = Array.from({ length: 6000 }, (_, at) => alert({ alertname: `A${at % 400}`, service: `s${at % 50}`, at: String(at) }));
  const begun = performance.now();
  const found = list(all).filter((one) => matches(one, wordsOf("s4 -a39")));
  const rows = lines(group(found, "alertname"), "alertname", new Set());
  assert.ok(rows.length > 100);
  assert.ok(performance.now() - begun < 2000);
});

test("groups with what fires come first, closed ones hide their alerts", () => {
  const all = list([alert({ alertname: "B" }, { state: "pending" }), alert({ alertname: "A", at: "1" }), alert({ alertname: "A", at: "2" })]);
  const groups = group(all, "alertname");
  assert.deepEqual(groups.map((one) => [one.name, one.alerts.length]), [["A", 2], ["B", 1]]);
  assert.equal(lines(groups, "alertname", new Set(["A"])).length, 3);
  assert.equal(lines(groups, "none", new Set()).length, 3);
});

test("matchers are read as they are written", () => {
  const text = '{alertname="Slow",interface=~"POST /v1/.*",note!="a,b}\\"c"}';
  assert.equal(matchersText(readMatchers(text)), text);
  assert.deepEqual(readMatchers("{}"), []);
  const is = silences(readMatchers(text));
  assert.ok(is({ alertname: "Slow", interface: "POST /v1/ocr" }));
  assert.ok(!is({ alertname: "Slow", interface: "GET POST /v1/ocr" }));
  assert.ok(!is({ alertname: "Slow", interface: "POST /v1/ocr", note: 'a,b}"c' }));
});

test("a word of the filter that names a label is asked of weir", () => {
  assert.equal(matcherOf("service=ocr.v1"), 'service=~"(?i)ocr\\\\.v1.*"');
  assert.equal(matcherOf("p99"), null);
  assert.equal(matcherOf("-service=ocr"), null);
});

test("what would silence everything is seen, and so is a pattern that cannot be read", () => {
  assert.ok(matchesAll(readMatchers('{a=~".*"}')));
  assert.ok(!matchesAll(readMatchers('{a=~".+"}')));
  assert.ok(!matchesAll([]));
  assert.equal(fault({ name: "a", value: "(", isRegex: true, isEqual: true }), "regex");
  assert.equal(fault({ name: " ", value: "", isRegex: false, isEqual: true }), "name");
});

test("an alert leads to its interface, traces, lines, and to its machine without its tenant", () => {
  const at = Date.parse("2026-11-30T10:00:00Z");
  const links = linksOf({ service: "ocr", interface: "POST /v1/ocr", tenant: "acme", host_name: "n1", hw_id: "GPU-1" }, at, at + 6e4);
  assert.deepEqual(links.map((link) => link.kind), ["interface", "traces", "errors", "logs", "gpu", "node"]);
  assert.equal(links[3]?.changes.query, "service:ocr");
  assert.equal(links[3]?.changes.start, "2026-11-30T09:55:00.000Z");
  assert.equal(links[5]?.changes.tenant, null);
  assert.deepEqual(linksOf({ alertname: "x" }, at, at), []);
});

test("transitions become stretches, with what began before and what goes on", () => {
  const base = { labels: { alertname: "A" }, annotations: {}, value: 1, group: "g", file: "f" };
  const at = (minute: number) => `2026-11-30T10:${String(minute).padStart(2, "0")}:00Z`;
  const [course] = courses(
    [
      { ...base, state: "pending", time: at(20), active_at: at(20) },
      { ...base, state: "resolved", time: at(10), active_at: at(0) },
      { ...base, state: "firing", time: at(5), active_at: at(0) },
    ],
    [],
    Date.parse(at(2)),
    Date.parse(at(30)),
  );
  assert.deepEqual(course?.stretches.map(({ state, from, to }) => [state, new Date(from).getUTCMinutes(), new Date(to).getUTCMinutes()]), [
    ["pending", 2, 5],
    ["firing", 5, 10],
    ["pending", 20, 30],
  ]);
});

test("an expression is narrowed to an alert by weir, whatever its labels hold", () => {
  assert.equal(only("up > 0", { alertname: "A", severity: "page", job: 'a"$1' }, new Set(["severity"])), '(up > 0) and on (job) label_replace(vector(1), "job", "a\\"$$1", "", "")');
  assert.equal(only("up", { alertname: "A" }, new Set()), "up");
});

test("values have the unit of what is compared first", () => {
  assert.equal(valueText(1.5, "histogram_quantile(0.99, rate(weir_call_duration_seconds[1m])) > 1"), "1.5 s");
  assert.equal(valueText(0, "max(weir_clock_synchronized) == 0 and max(weir_clock_error_limit_seconds) >= 16"), "0");
  assert.equal(valueText(88, "max by (hw_id) (hw_temperature_celsius) > 85"), "88 °C");
  assert.equal(valueText("NaN", "x"), "NaN");
});

test("an axis has few ticks at whole times", () => {
  const from = Date.parse("2026-11-30T10:01:00Z");
  assert.equal(ticks(from, from + 36e5).length, 6);
  assert.ok(ticks(from, from + 30 * 864e5).length <= 7);
});
