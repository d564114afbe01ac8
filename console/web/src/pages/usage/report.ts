//! What a report shows: by what it is split, measured in what, and drawn as which series.
import { sumOf } from "../../lib/decimal";
import type { Usage, UsageRow, Used } from "../../lib/types/usage";

export const LEVELS = ["tenant", "service", "interface"] as const;
export type Level = (typeof LEVELS)[number];

/** What the report is narrowed to. */
export type Filters = Record<Level, string>;

/** What is left to split by, the next step of the drill-down first. Where nothing is, rows are over time. */
export function levelsLeft(filters: Filters): Level[] {
  return LEVELS.filter((level) => !filters[level]);
}

/** The level that is asked for, where it can be split by; else the next. */
export function levelOf(asked: string, filters: Filters): Level | "time" {
  const left = levelsLeft(filters);
  if (asked === "time") return "time";
  return left.find((level) => level === asked) ?? left[0] ?? "time";
}

export const MEASURES = ["amount", "calls", "errors", "tokens", "gpu_hours", "energy"] as const;
export type Measure = (typeof MEASURES)[number];

/** For drawing: amounts are rounded as floats are. */
export function measured(used: Used, measure: Measure): number {
  switch (measure) {
    case "amount":
      return Number(used.amount ?? 0);
    case "calls":
      return used.calls;
    case "errors":
      return used.errors;
    case "tokens":
      return used.input_tokens + used.output_tokens;
    case "gpu_hours":
      return used.gpu_seconds / 3600;
    case "energy":
      return used.energy_joules / 3.6e6;
  }
}

/** Measures of which there is something; calls are always there. */
export function measuresOf(totals: Used): Measure[] {
  return MEASURES.filter((one) => one === "calls" || (one === "amount" ? totals.amount !== null : measured(totals, one) > 0));
}

export interface Stack {
  name: string;
  values: number[];
  total: number;
}

/** Rows over time as one stack for each name, the greatest first; those beyond `most` are one, without a name: null. */
export function stacks(rows: UsageRow[], times: number[], nameOf: (row: UsageRow) => string, measure: Measure, most = 7): { named: Stack[]; others: Stack | null } {
  const place = new Map(times.map((time, at) => [time, at]));
  const all = new Map<string, Stack>();
  for (const row of rows) {
    const at = place.get(Date.parse(row.start) / 1e3);
    if (at === undefined) continue;
    const name = nameOf(row);
    let stack = all.get(name);
    if (!stack) all.set(name, (stack = { name, values: new Array<number>(times.length).fill(0), total: 0 }));
    const value = measured(row, measure);
    stack.values[at] = (stack.values[at] ?? 0) + value;
    stack.total += value;
  }
  const ordered = [...all.values()].sort((a, b) => b.total - a.total || a.name.localeCompare(b.name));
  if (ordered.length <= most + 1) return { named: ordered, others: null };
  const rest = ordered.slice(most);
  const values = times.map((_, at) => rest.reduce((sum, stack) => sum + (stack.values[at] ?? 0), 0));
  return { named: ordered.slice(0, most), others: { name: "", values, total: rest.reduce((sum, stack) => sum + stack.total, 0) } };
}

/** Rows over time that names are summed up in, the newest first. Quantiles of sums are not known. */
export function byTime(rows: UsageRow[]): UsageRow[] {
  const all = new Map<string, UsageRow[]>();
  for (const row of rows) {
    const same = all.get(row.start);
    if (same) same.push(row);
    else all.set(row.start, [row]);
  }
  const sum = (same: UsageRow[]): UsageRow | null => {
    const [first, ...rest] = same;
    if (!first) return null;
    if (!rest.length) return first;
    const of = (field: "calls" | "errors" | "request_bytes" | "response_bytes" | "input_tokens" | "output_tokens" | "gpu_seconds" | "energy_joules") =>
      same.reduce((sum, row) => sum + row[field], 0);
    return {
      ...first,
      tenant: null,
      service: null,
      interface: null,
      calls: of("calls"),
      errors: of("errors"),
      request_bytes: of("request_bytes"),
      response_bytes: of("response_bytes"),
      input_tokens: of("input_tokens"),
      output_tokens: of("output_tokens"),
      gpu_seconds: of("gpu_seconds"),
      energy_joules: of("energy_joules"),
      p50_ms: null,
      p99_ms: null,
      amount: sumOf(same.map((row) => row.amount)),
    };
  };
  const summed = [...all.values()].flatMap((same) => sum(same) ?? []);
  return summed.sort((a, b) => Date.parse(b.start) - Date.parse(a.start));
}

/** Pages of one answer as one. */
export function joined(pages: Usage[]): Usage | null {
  const [first] = pages;
  const last = pages.at(-1);
  if (!first || !last) return null;
  return { ...last, rows: pages.flatMap((page) => page.rows), totals: first.totals };
}
