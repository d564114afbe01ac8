//! Which alert rules are about an interface, and when their alerts fired.
import type { Alert, Rules, Transition } from "../../lib/types/alerts";

export interface Subject {
  tenant?: string;
  service: string;
  interface: string;
}

export type Measure = "calls" | "duration" | "errors" | "first_token" | "per_token";

export interface Limit {
  rule: string;
  measure: Measure;
  op: string;
  /** Seconds, a share, or calls a second. */
  value: number;
  /** Of a rule about a quantile: 0.99. */
  quantile: number | null;
}

function measureOf(expr: string): Measure | null {
  if (expr.includes("weir_call_time_to_first_token_seconds")) return "first_token";
  if (expr.includes("weir_call_time_per_output_token_seconds")) return "per_token";
  if (expr.includes("weir_call_duration_seconds")) return "duration";
  if (!expr.includes("weir_calls_total")) return null;
  return /outcome\s*=~?\s*"error"/.test(expr) && expr.includes("/") ? "errors" : "calls";
}

function passes(op: string, wanted: string, value: string): boolean {
  if (op === "=") return value === wanted;
  if (op === "!=") return value !== wanted;
  let isMatch = false;
  try {
    isMatch = new RegExp(`^(?:${wanted})$`).test(value);
  } catch {
    // RE2 has forms that this engine has not: the rule may be about anything.
    return true;
  }
  return op === "=~" ? isMatch : !isMatch;
}

/** Whether no selector of an expression leaves the subject out. */
function concerns(expr: string, subject: Subject): boolean {
  for (const [, name, op, wanted] of expr.matchAll(/\b(tenant|service|interface)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"/g)) {
    const value = subject[name as keyof Subject];
    if (value !== undefined && !passes(op ?? "=", (wanted ?? "").replace(/\\(.)/g, "$1"), value)) return false;
  }
  return true;
}

/** The thresholds of alerting rules that concern an interface. */
export function limitsOf(rules: Rules, subject: Subject): Limit[] {
  return rules.groups.flatMap((group) =>
    group.rules.flatMap((rule): Limit[] => {
      const { threshold, expr, name, type } = rule;
      const measure = measureOf(expr);
      const value = Number(threshold?.value);
      if (type !== "alerting" || !threshold || !measure || !Number.isFinite(value) || !concerns(expr, subject)) return [];
      const quantile = /histogram_quantile\(\s*([\d.]+)/.exec(expr)?.[1];
      return [{ rule: name, measure, op: threshold.op, value, quantile: quantile ? Number(quantile) : null }];
    }),
  );
}

/** What each alerting rule is about, by its name. */
export function measuresOf(rules: Rules): Map<string, Measure> {
  const all = rules.groups.flatMap((group) => group.rules).filter(({ type }) => type === "alerting");
  return new Map(all.flatMap(({ name, expr }) => {
    const measure = measureOf(expr);
    return measure ? [[name, measure] as const] : [];
  }));
}

/** Whether an alert's labels name the interface: those that it has must be the same. */
function isOf(labels: Record<string, string>, subject: Subject): boolean {
  if (labels.service !== subject.service || (labels.interface !== undefined && labels.interface !== subject.interface)) return false;
  return labels.tenant === undefined || subject.tenant === undefined || labels.tenant === subject.tenant;
}

export interface Firing {
  rule: string;
  /** Unix seconds. */
  from: number;
  to: number;
}

/** When alerts of an interface fired within a stretch (unix seconds), from their changes and from what they are now. */
export function firings(transitions: Transition[], alerts: Alert[], subject: Subject, from: number, to: number): Firing[] {
  const seconds = (time: string) => new Date(time).getTime() / 1e3;
  const byAlert = new Map<string, { at: number; isFiring: boolean }[]>();
  const note = (labels: Record<string, string>, at: number, isFiring: boolean) => {
    const key = JSON.stringify(Object.entries(labels).sort());
    byAlert.set(key, [...(byAlert.get(key) ?? []), { at, isFiring }]);
  };
  for (const { labels, state, time } of transitions) if (isOf(labels, subject) && (state === "firing" || state === "resolved")) note(labels, seconds(time), state === "firing");
  for (const { labels, state, fired_at } of alerts) if (isOf(labels, subject) && state === "firing" && fired_at) note(labels, seconds(fired_at), true);
  const found: Firing[] = [];
  for (const [key, changes] of byAlert) {
    const labels = Object.fromEntries(JSON.parse(key) as [string, string][]);
    changes.sort((a, b) => a.at - b.at);
    // What begins with an end had begun before.
    let since: number | null = changes[0]?.isFiring === false ? from : null;
    for (const { at, isFiring } of changes) {
      if (isFiring) since ??= at;
      else if (since !== null) {
        found.push({ rule: labels.alertname ?? "", from: since, to: at });
        since = null;
      }
    }
    if (since !== null) found.push({ rule: labels.alertname ?? "", from: since, to });
  }
  return found.filter((one) => one.to >= from && one.from <= to).map((one) => ({ ...one, from: Math.max(one.from, from), to: Math.min(one.to, to) }));
}
