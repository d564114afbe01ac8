//! What the room reflow answers.

export type ColumnType = "string" | "int" | "float" | "bool" | "timestamp" | "json";

export interface Sample {
  ratio?: number;
  by?: "trace" | "row";
  rows_per_minute?: number;
  slower_than?: string;
  while_firing?: string;
  errors_only?: boolean;
}

export interface Redaction {
  field: string;
  method?: "mask" | "hmac" | "drop";
  patterns?: string[];
  expressions?: string[];
}

/** A capture as its file or a request says it. */
export interface Definition {
  name: string;
  source?: "spans" | "logs";
  query?: string;
  tenants: string[];
  fields?: Record<string, string | { from: string; type: ColumnType }>;
  sample?: Sample;
  join?: { within: string };
  redact?: Redaction[];
  roll?: { rows?: number; size?: string; age?: string };
  format?: "parquet" | "jsonl" | "chat";
  keep?: string;
  when_full?: "wait" | "skip";
  from?: "now" | "beginning";
}

export interface Capture {
  name: string;
  source: string;
  query: string;
  tenants: string[];
  format: string;
  /** Null where it has ended and its files are still there. */
  defined_in: "file" | "request" | null;
  files: number;
  rows: number;
  bytes: number;
  updated: string | null;
}

export interface SchemaColumn {
  name: string;
  type: string;
}

export interface DataFile {
  name: string;
  rows: number;
  bytes: number;
  sha256: string;
  created: string;
  definition: string;
}

export interface Manifest {
  version: number;
  updated: string;
  /** Fingerprint of the newest definition. */
  definition: string;
  definitions: Record<string, { definition: Definition; schema: SchemaColumn[] }>;
  /** By partition, the next offset to be read. */
  positions: Record<string, number>;
  files: DataFile[];
}

/** `GET /api/v1/captures/{name}`. */
export interface CaptureDetail extends Capture {
  definition: Definition;
  manifest: Manifest | null;
}

/** `POST /api/v1/captures/preview`. */
export interface Preview {
  rows: Record<string, unknown>[];
  schema?: SchemaColumn[];
  /** Records read. */
  scanned: number;
  /** Of these, those that the query finds. */
  matched: number;
  from: string | null;
  until: string | null;
  /** Whether all of that stretch was read. */
  complete: boolean;
  /** Of those that match, what the sample left out, by reason. */
  left?: Record<string, number>;
  /** Conditions of the sample that were and were not applied. */
  sample?: { applied: string[]; not_applied: string[] } | null;
}
