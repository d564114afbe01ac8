//! What the room usage answers.

/** What was used. */
export interface Used {
  start: string;
  end: string;
  calls: number;
  errors: number;
  request_bytes: number;
  response_bytes: number;
  input_tokens: number;
  output_tokens: number;
  gpu_seconds: number;
  energy_joules: number;
  /** A decimal; null without a price. */
  amount: string | null;
  currency: string | null;
}

export interface UsageRow extends Used {
  /** Null where rows are not told apart by it. */
  tenant: string | null;
  service: string | null;
  interface: string | null;
  p50_ms: number | null;
  p99_ms: number | null;
}

/** `GET /api/v1/usage`. */
export interface Usage {
  rows: UsageRow[];
  totals: Used;
  complete_until: string | null;
  next_cursor: string | null;
}

export interface Quota {
  quota: string;
  per: string;
  limit: number;
  used: number;
  remaining: number;
  resets_at: string;
}

/** `GET /api/v1/quotas/{tenant}`. */
export interface Quotas {
  tenant: string;
  quotas: Quota[];
  age_seconds: number | null;
  complete_until: string | null;
}

export interface StatementLine {
  start: string;
  end: string;
  service: string;
  interface: string;
  calls: number;
  errors: number;
  input_tokens: number;
  output_tokens: number;
  gpu_seconds: number;
  amount: string | null;
  /** Number of the statement that this corrects. */
  corrects?: number;
}

export interface Statement {
  statement: number;
  tenant: string;
  start: string;
  end: string;
  issued_at: string;
  currency: string;
  lines: StatementLine[];
  corrections: StatementLine[];
  total: string | null;
}

/** `GET /api/v1/usage/statements`. */
export interface Statements {
  statements: Statement[];
  next_cursor: string | null;
}
