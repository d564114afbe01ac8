//! The rule file that is being tried out: kept for the visit, so that a reload does not lose it.
import type { Rule, RuleGroup } from "../../lib/types/alerts";

const KEPT = "weir.replay";

/** A Prometheus rule file with one rule. JSON strings are YAML too. */
export function fileOf(group: Pick<RuleGroup, "name" | "interval_seconds">, rule: Rule): string {
  const lines = ["groups:", `  - name: ${JSON.stringify(group.name)}`, `    interval: ${group.interval_seconds}s`, "    rules:"];
  lines.push(`      - ${rule.type === "recording" ? "record" : "alert"}: ${JSON.stringify(rule.name)}`);
  lines.push("        expr: |", ...rule.expr.trim().split("\n").map((line) => `          ${line}`));
  if (rule.for_seconds > 0) lines.push(`        for: ${rule.for_seconds}s`);
  if (rule.keep_firing_for_seconds > 0) lines.push(`        keep_firing_for: ${rule.keep_firing_for_seconds}s`);
  if (rule.type === "alerting") lines.push("        labels: {severity: page}");
  return `${lines.join("\n")}\n`;
}

export function keepFile(group: RuleGroup, rule: Rule) {
  keep(fileOf(group, rule));
}

export function keep(text: string) {
  sessionStorage.setItem(KEPT, text);
}

export function kept(): string {
  return sessionStorage.getItem(KEPT) ?? "";
}
