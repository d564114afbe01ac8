//! A capture while it is written: what the form holds, the definition that it means, and its YAML.
import type { ColumnType, Definition, Redaction } from "../../lib/types/captures";

export const TYPES = ["", "string", "int", "float", "bool", "timestamp", "json"] as const;
export const PATTERNS = ["phone_cn", "id_cn", "bank_card", "email", "ip", "bearer", "api_key"] as const;
export const METHODS = ["mask", "hmac", "drop"] as const;
export const FORMATS = ["parquet", "jsonl", "chat"] as const;

export interface DraftField {
  name: string;
  from: string;
  type: ColumnType | "";
}

export interface DraftRedaction {
  field: string;
  method: (typeof METHODS)[number];
  patterns: string[];
  /** One in a line. */
  expressions: string;
}

/** Texts as they are typed; what is empty is not said. */
export interface Draft {
  name: string;
  source: "spans" | "logs";
  query: string;
  tenants: string;
  fields: DraftField[];
  ratio: string;
  by: "trace" | "row";
  rowsPerMinute: string;
  slowerThan: string;
  whileFiring: string;
  errorsOnly: boolean;
  redact: DraftRedaction[];
  format: (typeof FORMATS)[number];
  rollRows: string;
  rollSize: string;
  rollAge: string;
  keep: string;
  from: "now" | "beginning";
  whenFull: "wait" | "skip";
  join: string;
}

const FIELDS: Record<Draft["source"], DraftField[]> = {
  spans: [
    { name: "trace", from: "trace_id", type: "" },
    { name: "request", from: "attributes.gen_ai.input.messages", type: "" },
    { name: "answer", from: "attributes.gen_ai.output.messages", type: "" },
    { name: "ms", from: "duration_ms", type: "" },
  ],
  logs: [
    { name: "time", from: "timestamp", type: "" },
    { name: "service", from: "service", type: "" },
    { name: "body", from: "body", type: "" },
  ],
};

/** What a new capture begins with: everything that is personal is taken out, unless one says otherwise. */
export function empty(source: Draft["source"], query: string, tenants: string): Draft {
  return {
    name: "",
    source,
    query,
    tenants,
    fields: FIELDS[source],
    ratio: "",
    by: "trace",
    rowsPerMinute: "",
    slowerThan: "",
    whileFiring: "",
    errorsOnly: false,
    redact: [{ field: "*", method: "mask", patterns: [...PATTERNS], expressions: "" }],
    format: "parquet",
    rollRows: "",
    rollSize: "",
    rollAge: "",
    keep: "30d",
    from: "now",
    whenFull: "wait",
    join: "",
  };
}

const numberText = (value: number | undefined) => (value === undefined ? "" : String(value));

export function draftOf(definition: Definition): Draft {
  const { sample = {}, roll = {}, redact = [] } = definition;
  return {
    name: definition.name,
    source: definition.source ?? "spans",
    query: definition.query ?? "",
    tenants: definition.tenants.join(", "),
    fields: Object.entries(definition.fields ?? {}).map(([name, from]) =>
      typeof from === "string" ? { name, from, type: "" } : { name, from: from.from, type: from.type },
    ),
    ratio: numberText(sample.ratio),
    by: sample.by ?? "trace",
    rowsPerMinute: numberText(sample.rows_per_minute),
    slowerThan: sample.slower_than ?? "",
    whileFiring: sample.while_firing ?? "",
    errorsOnly: sample.errors_only ?? false,
    redact: redact.map((rule) => ({
      field: rule.field,
      method: rule.method ?? "mask",
      patterns: rule.patterns ?? [],
      expressions: (rule.expressions ?? []).join("\n"),
    })),
    format: definition.format ?? "parquet",
    rollRows: numberText(roll.rows),
    rollSize: roll.size ?? "",
    rollAge: roll.age ?? "",
    keep: definition.keep ?? "",
    from: definition.from ?? "now",
    whenFull: definition.when_full ?? "wait",
    join: definition.join?.within ?? "",
  };
}

/** A number as a number; what is none as it is, for the API to say so. */
function numberOf(text: string): number {
  const number = Number(text);
  return Number.isFinite(number) ? number : (text as unknown as number);
}

/** Only what differs from the defaults. */
export function definitionOf(draft: Draft): Definition {
  const said = (text: string) => text.trim() !== "";
  const sample = {
    ...(said(draft.ratio) && { ratio: numberOf(draft.ratio) }),
    ...(said(draft.ratio) && draft.by === "row" && { by: draft.by }),
    ...(said(draft.rowsPerMinute) && { rows_per_minute: numberOf(draft.rowsPerMinute) }),
    ...(said(draft.slowerThan) && { slower_than: draft.slowerThan.trim() }),
    ...(said(draft.whileFiring) && { while_firing: draft.whileFiring.trim() }),
    ...(draft.errorsOnly && { errors_only: true }),
  };
  const roll = {
    ...(said(draft.rollRows) && { rows: numberOf(draft.rollRows) }),
    ...(said(draft.rollSize) && { size: draft.rollSize.trim() }),
    ...(said(draft.rollAge) && { age: draft.rollAge.trim() }),
  };
  const redact = draft.redact.filter((rule) => said(rule.field)).map((rule): Redaction => {
    const expressions = rule.expressions.split("\n").filter(said);
    return {
      field: rule.field.trim(),
      ...(rule.method !== "mask" && { method: rule.method }),
      ...(rule.patterns.length && { patterns: rule.patterns }),
      ...(expressions.length && { expressions }),
    };
  });
  const fields = draft.fields.filter((field) => said(field.name) || said(field.from));
  return {
    name: draft.name.trim(),
    source: draft.source,
    ...(said(draft.query) && { query: draft.query.trim() }),
    tenants: draft.tenants.split(",").map((tenant) => tenant.trim()).filter(said),
    ...(fields.length && {
      fields: Object.fromEntries(
        fields.map(({ name, from, type }) => [name.trim(), type ? { from: from.trim(), type } : from.trim()]),
      ),
    }),
    ...(Object.keys(sample).length && { sample }),
    ...(said(draft.join) && { join: { within: draft.join.trim() } }),
    ...(redact.length && { redact }),
    ...(Object.keys(roll).length && { roll }),
    ...(draft.format !== "parquet" && { format: draft.format }),
    ...(said(draft.keep) && { keep: draft.keep.trim() }),
    ...(draft.whenFull !== "wait" && { when_full: draft.whenFull }),
    ...(draft.from !== "now" && { from: draft.from }),
  };
}

/** Names of fields that are there twice: JSON would keep the last alone. */
export function twice(draft: Draft): string[] {
  const names = draft.fields.map((field) => field.name.trim()).filter(Boolean);
  return [...new Set(names.filter((name, at) => names.indexOf(name) !== at))];
}

/** A key of the definition, by which the form knows the part that an error is about. */
export type Part = "name" | "tenants" | "query" | "fields" | "sample" | "redact" | "roll" | "keep" | "format" | "join";

/** Which part an error of the API is about: it begins with the key, or quotes the value. */
export function partOf(detail: string, parameter: string | undefined, draft: Draft): Part | null {
  const parts: Part[] = ["name", "tenants", "query", "fields", "sample", "redact", "roll", "keep", "format", "join"];
  const key = parameter ?? /^([a-z_]+)(?:\.[a-z_.]+)?:/.exec(detail)?.[1] ?? /`([a-z_]+)`/.exec(detail)?.[1];
  const known = parts.find((part) => part === key);
  if (known) return known;
  const quoted = /[«`"]([^»`"]*)[»`"]/.exec(detail)?.[1];
  if (quoted === undefined || quoted === "") return null;
  const values: [Part, string[]][] = [
    ["keep", [draft.keep]],
    ["roll", [draft.rollAge, draft.rollSize, draft.rollRows]],
    ["sample", [draft.slowerThan, draft.ratio, draft.rowsPerMinute]],
    ["join", [draft.join]],
  ];
  return values.find(([, texts]) => texts.some((text) => text.trim() === quoted))?.[0] ?? null;
}
