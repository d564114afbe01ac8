//! What the indexer answers of logs.

export type Attributes = Record<string, unknown>;

/** One log record. */
export interface Hit {
  id: string;
  /** RFC 3339 with nanoseconds. */
  timestamp: string;
  tenant: string;
  service: string;
  severity: string;
  body: unknown;
  trace_id: string;
  span_id: string;
  resource: Attributes;
  attributes: Attributes;
  /** Where the body matches, as offsets in bytes of its UTF-8. */
  highlight?: [from: number, to: number][];
}

/** Records that the bus dropped before they were read. */
export interface Gap {
  [name: string]: unknown;
}

/** `/api/v1/logs/search`. */
export interface LogPage {
  hits: Hit[];
  next_cursor: string | null;
  took_ms: number;
  indexed_until: string | null;
  hints: string[];
  gaps: Gap[];
}

/** `/api/v1/logs/histogram`. */
export interface Histogram {
  buckets: { start: string; count: number; other: number; values: Record<string, number> }[];
  interval_seconds: number;
  indexed_until: string | null;
  gaps: Gap[];
}
