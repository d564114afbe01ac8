//! What weir says of itself.

/** Of `GET /api/v1/roles`. */
export interface RoleState {
  role: string;
  url: string | null;
  reachable: boolean;
  ready: boolean;
  /** Why it is not ready, by part. */
  waiting_for: Record<string, string>;
  /** What does not work as it should, by part. */
  degraded: Record<string, string>;
  version: string | null;
  error: string | null;
}

/** Records that the bus dropped before they were read. */
export interface Gap {
  start: string | null;
  end: string | null;
  partition: number;
  reason: string;
  records: number | null;
}

/** What searches say of how far they reach. */
export interface Extent {
  indexed_until: string | null;
  gaps?: Gap[];
}

/** Of `GET /api/v1/alerts`. */
export interface Pipeline {
  state: string;
  evaluated_until: string | null;
  event_time: string | null;
  lag_seconds: number | null;
  last_call: string | null;
  /** Names of what is late. */
  late: unknown[];
}

/** Of `GET /api/v1/collector/sources`: bytes of all generations of a file. */
export interface Source {
  path: string;
  files: number;
  seen: number;
  acknowledged: number;
  waiting: number;
  waiting_seconds: number;
  lost: Record<string, number>;
}
