//! What `/api/v1/metrics/series` answers.

/** A series; where `by` was asked for, `labels` are all that it is told by. */
export interface PointSeries {
  metric: string;
  labels?: Record<string, string | null>;
  attributes?: Record<string, unknown>;
  resource?: Record<string, unknown>;
  unit: string;
  /** RFC 3339 and value. */
  points: [string, number | string | null][];
}

export interface SeriesAnswer {
  series: PointSeries[];
  indexed_until?: string | null;
}
