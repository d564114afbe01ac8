//! Transitions to stretches of time in which an alert was pending or fired. Pure.
import type { Labels } from "../../lib/prom";
import type { Alert, Transition } from "../../lib/types/alerts";
import { idOf, list, type Listed } from "./alert";

export interface Stretch {
  state: "pending" | "firing";
  from: number;
  to: number;
}

export interface Course {
  id: string;
  labels: Labels;
  stretches: Stretch[];
  /** When it last changed. */
  last: number;
  firings: number;
}

/**
 * Transitions come newest first and may begin in the middle: what lies before the first is read off its state, and what
 * follows the last goes on until `to` where the alert is still active.
 */
export function courses(transitions: Transition[], active: Alert[], from: number, to: number): Course[] {
  const by = new Map<string, { labels: Labels; transitions: Transition[]; alert?: Alert }>();
  const of = (one: Alert | Transition) => {
    const id = idOf(one);
    let known = by.get(id);
    if (!known) by.set(id, (known = { labels: one.labels, transitions: [] }));
    return known;
  };
  for (const transition of transitions) of(transition).transitions.push(transition);
  for (const alert of active) if (alert.state !== "resolved") of(alert).alert = alert;
  const all = [...by].map(([id, { labels, transitions, alert }]) => {
    const stretches: Stretch[] = [];
    const add = (state: Stretch["state"], start: number, end: number) => {
      const [begin, stop] = [Math.max(start, from), Math.min(end, to)];
      if (stop > begin) stretches.push({ state, from: begin, to: stop });
    };
    let open: { state: Stretch["state"]; at: number } | null = null;
    let firings = 0;
    for (const transition of [...transitions].reverse()) {
      const at = Date.parse(transition.time);
      if (open) add(open.state, open.at, at);
      else if (transition.state === "firing") add("pending", Date.parse(transition.active_at), at);
      else if (transition.state === "resolved") add("firing", Date.parse(transition.active_at), at);
      else if (transition.state === "inactive") add("pending", Date.parse(transition.active_at), at);
      open = transition.state === "firing" || transition.state === "pending" ? { state: transition.state, at } : null;
      if (transition.state === "firing") firings += 1;
    }
    if (open) add(open.state, open.at, to);
    else if (alert && !transitions.length) {
      const fired = alert.fired_at ? Date.parse(alert.fired_at) : to;
      add("pending", Date.parse(alert.active_at), fired);
      add("firing", fired, to);
    }
    const last = transitions[0] ? Date.parse(transitions[0].time) : Date.parse(alert?.fired_at ?? alert?.active_at ?? "") || 0;
    return { id, labels, stretches, last, firings };
  });
  return all.filter((course) => course.stretches.length).sort((a, b) => b.last - a.last);
}

/** An alert as it was at its last change, where it is not active now; transitions come newest first. */
export function past(transitions: Transition[], active: Alert[], id: string): Listed | undefined {
  const now = active.find((alert) => idOf(alert) === id);
  if (now) return list([now])[0];
  const own = transitions.filter((transition) => idOf(transition) === id);
  const [last] = own;
  if (!last) return undefined;
  const fired = own.find((transition) => transition.state === "firing" && transition.active_at === last.active_at);
  const isOver = last.state === "resolved" || last.state === "inactive";
  const status = { state: "active" as const, silencedBy: [], inhibitedBy: [] };
  const { labels, annotations, value, active_at, group, file } = last;
  const times = { active_at, fired_at: fired?.time ?? null, resolved_at: isOver ? last.time : null };
  const state = last.state === "inactive" ? "resolved" : last.state;
  return list([{ state, status, labels, annotations, value, ...times, group, file, rule: labels.alertname ?? "", expr: "" }])[0];
}

const FIRST = ["tenant", "service", "interface", "host_name", "hw_name"];

/** What an alert is about, in a few words: the values of its labels, those that people know first. */
export function telling(labels: Labels): string {
  const isTold = (name: string, value: string) =>
    name !== "alertname" && name !== "severity" && value !== "" && value !== "unknown_service" && !(name === "hw_id" && labels.hw_name);
  const rank = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  const told = Object.entries(labels).filter(([name, value]) => isTold(name, value));
  return told.sort(([a], [b]) => rank(a) - rank(b)).map(([, value]) => value.slice(0, 200)).join(" · ");
}
