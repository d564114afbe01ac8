//! What the indexer answers of traces.
import type { Hit } from "./logs";

type Attributes = Record<string, unknown>;

export type SpanStatus = "ok" | "error" | "unset";

/** A trace of `/api/v1/traces/search`. */
export interface TraceSummary {
  trace_id: string;
  root_service: string;
  root_name: string;
  /** RFC 3339 with nanoseconds. */
  start: string;
  duration_ns: number;
  span_count: number;
  error_count: number;
  services: string[];
  /** The first span in the order asked for that passes. */
  span: { span_id: string; service: string; tenant: string; name: string; kind: string; start: string; duration_ns: number; status: SpanStatus };
}

export interface TracePage {
  traces: TraceSummary[];
  next_cursor: string | null;
  took_ms: number;
  indexed_until: string | null;
  gaps: unknown[];
}

export interface Span {
  span_id: string;
  /** Empty where it has none. */
  parent_span_id: string;
  service: string;
  tenant: string;
  name: string;
  kind: string;
  start: string;
  end: string;
  duration_ns: number;
  status: { code: SpanStatus; message: string };
  attributes: Attributes;
  resource: Attributes;
  scope: string;
  scope_attributes: Attributes;
  events: { name: string; time: string; attributes: Attributes }[];
  links: { trace_id: string; span_id: string; attributes: Attributes }[];
}

/** A page of `/api/v1/traces/{trace_id}`. */
export interface SpanPage {
  trace_id: string;
  spans: Span[];
  next_cursor?: string | null;
}

/** `/api/v1/traces/{trace_id}/critical_path`. */
export interface CriticalPath {
  duration_ns: number;
  critical_path: { span_id: string; parent_span_id: string; service: string; name: string; kind: string; start: string; self_ns: number }[];
  truncated?: boolean;
}

/** One series of a metric with its points as they came. */
export interface GpuSamples {
  metric: string;
  unit: string;
  type: string;
  tenant: string;
  service: string;
  attributes: Attributes;
  resource: Attributes;
  points: [time: string, value: number | null][];
}

/** `/api/v1/traces/{trace_id}/dossier`. */
export interface Dossier {
  trace_id: string;
  start?: string;
  end?: string;
  pods: Record<string, string>[];
  logs: Hit[];
  gpu_events: Hit[];
  gpu_samples: GpuSamples[];
  truncated?: boolean;
}

/** `/api/v1/services`. */
export interface Services {
  services: { service: string; operations: { name: string; kind: string }[] }[];
}

/** An edge of `/api/v1/dependencies`. */
export interface Dependency {
  parent: string;
  child: string;
  calls: number;
  errors: number;
  p50_ms: number;
  p99_ms: number;
  /** What kind of callee the caller names, where the callee itself sent no span. */
  peer?: "service" | "database" | "messaging" | "host";
}

export interface Dependencies {
  dependencies: Dependency[];
  truncated?: boolean;
}
