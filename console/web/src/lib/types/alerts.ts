//! What the alerter answers: alerts, rules, history, silences, notifications, replays.
import type { Labels } from "../prom";

/** NaN and the infinities are text. */
export type Num = number | string;

export type AlertState = "pending" | "firing" | "resolved";

/** One of `GET /api/v1/alerts`. */
export interface Alert {
  state: AlertState;
  status: { state: "active" | "suppressed"; silencedBy: string[]; inhibitedBy: string[] };
  labels: Labels;
  annotations: Labels;
  value: Num;
  active_at: string;
  fired_at: string | null;
  resolved_at: string | null;
  group: string;
  file: string;
  rule: string;
  expr: string;
}

export interface Pipeline {
  state: "healthy" | "late" | "no_data";
  event_time: string | null;
  lag_seconds: number | null;
  last_call: string | null;
  evaluated_until: string | null;
  /** Collectors that are waited for, or no longer. */
  late: { collector: string; host: string; state: string }[];
}

export interface Alerts {
  alerts: Alert[];
  pipeline: Pipeline;
  rules_error: string | null;
  alertmanager_config_error: string | null;
}

/** The comparison that a rule's expression ends with; null where it ends with none. */
export interface RuleThreshold {
  expr: string;
  op: string;
  value: Num;
}

export interface Rule {
  name: string;
  type: "alerting" | "recording";
  expr: string;
  line: number;
  for_seconds: number;
  keep_firing_for_seconds: number;
  health: "ok" | "err" | "unknown";
  error: string | null;
  alerts: number;
  threshold?: RuleThreshold | null;
}

export interface RuleGroup {
  name: string;
  file: string;
  interval_seconds: number;
  evaluated_until: string | null;
  rules: Rule[];
}

/** `GET /api/v1/rules`. */
export interface Rules {
  groups: RuleGroup[];
  pipeline: Pipeline;
  rules_error: string | null;
}

/** One of `GET /api/v1/alerts/history`. */
export interface Transition {
  time: string;
  state: AlertState | "inactive";
  labels: Labels;
  annotations: Labels;
  value: Num;
  active_at: string;
  group: string;
  file: string;
}

export interface History {
  transitions: Transition[];
  next_cursor: string | null;
}

export interface SilenceMatcher {
  name: string;
  value: string;
  isRegex: boolean;
  isEqual: boolean;
}

/** As Alertmanager's API, version 2, has it. */
export interface Silence {
  id: string;
  status: { state: "active" | "pending" | "expired" };
  matchers: SilenceMatcher[];
  startsAt: string;
  endsAt: string;
  updatedAt: string;
  createdBy: string;
  comment: string;
}

/** One of `GET /api/v1/notifications`. */
export interface Notification {
  time: string;
  receiver: string;
  integration: string;
  /** Labels of the group. */
  group: Labels;
  status: "firing" | "resolved";
  /** The first of its alerts. */
  alerts: { labels: Labels; status: string }[];
  alerts_total: number;
  outcome: "sent" | "failed" | "refused" | "suppressed";
  error: string | null;
  attempts: number;
  duration_ms: number;
}

export interface Notifications {
  notifications: Notification[];
  next_cursor: string | null;
}

export interface ReplayedAlert {
  labels: Labels;
  annotations: Labels;
  state: AlertState | "inactive";
  pending_at: string;
  fired_at: string | null;
  ended_at: string | null;
  greatest_value: Num;
  waited_seconds: number | null;
  active_before: boolean;
  group: string | null;
}

export interface ReplayedRule {
  name: string;
  group: string;
  line: number;
  expr: string;
  firings: number;
  alerts: number;
  pages: number;
  pages_per_week: number;
  detection_seconds: { mean: number | null; max: number | null };
  failures: number;
  error: string | null;
}

/** `POST /api/v1/rules/replay`. */
export interface Replay {
  start: string;
  end: string;
  evaluated_from: string;
  evaluated_until: string;
  complete: boolean;
  records: number;
  notes: string[];
  alerts: ReplayedAlert[];
  rules: ReplayedRule[];
}
