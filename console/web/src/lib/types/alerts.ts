//! What the alerter answers.
import type { Labels } from "../prom";

/** One alert of `/api/v1/alerts`. */
export interface Alert {
  rule: string;
  group: string;
  file: string;
  expr: string;
  labels: Labels;
  annotations: Labels;
  state: "inactive" | "pending" | "firing" | "resolved";
  value: number | null;
  active_at: string;
  fired_at: string | null;
  resolved_at: string | null;
  status: { state: string; silencedBy: string[]; inhibitedBy: string[] };
}

/** How far rules were evaluated, and why not further. */
export interface Pipeline {
  state: "healthy" | "late" | "no_data";
  event_time: string | null;
  evaluated_until: string | null;
  last_call: string | null;
  lag_seconds: number | null;
  late: { collector?: string; partition?: number; topic?: string; [name: string]: unknown }[];
}

/** `/api/v1/alerts`. */
export interface Alerts {
  alerts: Alert[];
  pipeline: Pipeline;
  rules_error: string | null;
  alertmanager_config_error: string | null;
}
