//! What an alert is told by, found by and grouped by. Pure.
import type { Labels } from "../../lib/prom";
import type { Alert } from "../../lib/types/alerts";

/** As people see an alert: whether anybody is told of it is part of its state. */
export type Shown = "firing" | "pending" | "silenced" | "inhibited" | "resolved";

export const SHOWN: Shown[] = ["firing", "pending", "silenced", "inhibited", "resolved"];

export const GROUPS = ["alertname", "service", "tenant", "severity", "none"] as const;
export type GroupBy = (typeof GROUPS)[number];

export function shownState({ state, status }: Alert): Shown {
  if (state === "resolved") return "resolved";
  if (status.silencedBy.length) return "silenced";
  if (status.inhibitedBy.length) return "inhibited";
  return state;
}

/** Since when an alert is as it is. */
export function since(alert: Alert): string {
  return alert.resolved_at ?? alert.fired_at ?? alert.active_at;
}

/** A short name of a set of labels that stays the same: FNV-1a, twice with other beginnings. */
export function fingerprint(labels: Labels, rule = ""): string {
  const text = JSON.stringify([rule, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]);
  let [one, two] = [0x811c9dc5, 0x1234567];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    one = Math.imul(one ^ code, 0x01000193);
    two = Math.imul(two ^ code, 0x01000193);
  }
  const hex = (value: number) => (value >>> 0).toString(16).padStart(8, "0");
  return hex(one) + hex(two);
}

/** What an alert, or a change of it, is known by. */
export function idOf({ labels, file, group }: Pick<Alert, "labels" | "file" | "group">): string {
  return fingerprint(labels, `${file};${group}`);
}

/** An alert with what lists ask of it, computed once. */
export interface Listed {
  alert: Alert;
  id: string;
  state: Shown;
  since: number;
  /** Labels and summary in lower case, for the filter. */
  text: string;
}

const CUT = 4096;

/** The newest first; what is over comes last. */
export function list(alerts: Alert[]): Listed[] {
  const all = alerts.map((alert) => {
    const labels = Object.entries(alert.labels).map(([name, value]) => `${name}=${value.slice(0, CUT)}`);
    const text = `${labels.join(" ")} ${summary(alert).slice(0, CUT)}`.toLowerCase();
    return { alert, id: idOf(alert), state: shownState(alert), since: Date.parse(since(alert)) || 0, text };
  });
  return all.sort((a, b) => Number(a.state === "resolved") - Number(b.state === "resolved") || b.since - a.since);
}

/** Every word of the filter is in the labels or the summary; `-word` must not be, and `severity=page` is a label. */
export function matches(one: Listed, words: string[]): boolean {
  return words.every((word) => (word.length > 1 && word.startsWith("-") ? !one.text.includes(word.slice(1)) : one.text.includes(word)));
}

export function wordsOf(filter: string): string[] {
  return filter.toLowerCase().split(/\s+/).filter(Boolean).map((word) => word.replaceAll('"', ""));
}

export interface Group {
  name: string;
  alerts: Listed[];
  counts: Record<Shown, number>;
}

/** Groups with what fires first, then those in which something changed last. */
export function group(all: Listed[], by: GroupBy): Group[] {
  const groups = new Map<string, Group>();
  for (const one of all) {
    const name = by === "none" ? "" : (one.alert.labels[by] ?? "");
    let into = groups.get(name);
    if (!into) {
      into = { name, alerts: [], counts: { firing: 0, pending: 0, silenced: 0, inhibited: 0, resolved: 0 } };
      groups.set(name, into);
    }
    into.alerts.push(one);
    into.counts[one.state] += 1;
  }
  const rank = ({ counts }: Group) => (counts.firing ? 0 : counts.pending ? 1 : counts.silenced + counts.inhibited ? 2 : 3);
  return [...groups.values()].sort((a, b) => rank(a) - rank(b) || (b.alerts[0]?.since ?? 0) - (a.alerts[0]?.since ?? 0));
}

/** A line of the list: a group's head, or an alert. */
export type Line = { group: Group } | { one: Listed };

export function lines(groups: Group[], by: GroupBy, closed: ReadonlySet<string>): Line[] {
  return groups.flatMap((group): Line[] => {
    const alerts = group.alerts.map((one) => ({ one }));
    if (by === "none") return alerts;
    return closed.has(group.name) ? [{ group }] : [{ group }, ...alerts];
  });
}

/** The one sentence of an alert. */
export function summary({ annotations, rule }: Alert): string {
  return annotations.summary ?? annotations.description ?? annotations.message ?? rule;
}

export function severityTone(severity: string | undefined): "bad" | "warn" | "info" | "idle" {
  const known: Record<string, "bad" | "warn" | "info"> = {
    critical: "bad", page: "bad", error: "bad", warning: "warn", ticket: "warn", warn: "warn", info: "info", note: "info",
  };
  return known[severity ?? ""] ?? "idle";
}

export function stateTone(state: Shown | "inactive"): "bad" | "warn" | "info" | "idle" | "ok" {
  const tones = { firing: "bad", pending: "warn", silenced: "idle", inhibited: "idle", resolved: "ok", inactive: "idle" } as const;
  return tones[state];
}
