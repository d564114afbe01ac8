//! Answers of `/api/v1/logs/…`.

/** Any JSON: attributes and structured bodies are what the sender made them. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** A log record. */
export interface Hit {
  id: string;
  timestamp: string;
  tenant: string;
  service: string;
  /** `INFO`, `ERROR2`; empty where the sender named none. */
  severity: string;
  severity_text?: string;
  body: Json;
  body_bytes?: string;
  trace_id: string;
  span_id: string;
  resource: Record<string, Json>;
  attributes: Record<string, Json>;
  scope?: Record<string, Json>;
  /** Where the query matched, as offsets in bytes of the UTF-8 of the body. */
  highlights?: [start: number, end: number][];
}

/** Records that are missing from an answer. */
export interface Gap {
  start: string | null;
  end: string | null;
  partition: number;
  reason: "dropped" | "recreated";
  records: number | null;
}

/** What the query may have meant; `query` says it that way. */
export interface Hint {
  message: string;
  query?: string;
}

/** How far an answer reaches. */
interface Extent {
  indexed_until: string;
  gaps: Gap[];
}

export interface SearchAnswer extends Extent {
  hits: Hit[];
  next_cursor: string | null;
  took_ms: number;
  hints: Hint[];
}

export interface CountAnswer extends Extent {
  count: number;
  hints: Hint[];
}

export interface HistogramAnswer extends Extent {
  interval_seconds: number;
  /** `values` and `other` where it was asked for by a field. */
  buckets: { start: string; count: number; other: number; values: Record<string, number> }[];
}

export interface FieldsAnswer {
  fields: { name: string; count: number; types: Record<string, number> }[];
}

export interface ValuesAnswer {
  field: string;
  values: { value: string; count: number }[];
}

export interface ContextAnswer {
  before: Hit[];
  line: Hit;
  after: Hit[];
}

/** Of `terms` aggregations, by their names. */
export interface TermsAnswer {
  aggregations: Record<string, { buckets: { key: string | number; key_as_string?: string; doc_count: number }[]; sum_other_doc_count: number }>;
}
