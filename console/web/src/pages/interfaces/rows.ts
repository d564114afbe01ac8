//! The table of interfaces: samples of several measures become rows.
import type { Labels, Matrix, Sample } from "../../lib/prom";

/** What rows are grouped by, in this order. */
export const GROUPS = ["tenant", "service", "interface"] as const;
export type Group = (typeof GROUPS)[number];

export interface Row {
  key: string;
  tenant: string;
  service: string;
  interface: string;
  /** Calls a second. */
  calls: number;
  /** Share of calls that failed; null where there was none. */
  errors: number | null;
  /** Seconds. */
  p50: number | null;
  p99: number | null;
  input: number | null;
  output: number | null;
  callsOver: (number | null)[];
  p99Over: (number | null)[];
}

export interface Measures {
  /** With their outcome. */
  calls: Sample[];
  p50: Sample[];
  p99: Sample[];
  /** With their direction. */
  tokens: Sample[];
  callsOver?: Matrix;
  p99Over?: Matrix;
}

/** `service,interface` of an address; all where it names none. */
export function readGroups(text: string): Group[] {
  const asked = text.split(",");
  const known = GROUPS.filter((group) => asked.includes(group));
  return known.length ? known : [...GROUPS];
}

function keyOf(labels: Labels): string {
  return GROUPS.map((group) => labels[group] ?? "").join("\u0000");
}

const known = (value: number): number | null => (Number.isFinite(value) ? value : null);

export function rows({ calls, p50, p99, tokens, callsOver, p99Over }: Measures): Row[] {
  const byKey = new Map<string, Row & { failed: number }>();
  for (const { labels, value } of calls) {
    const key = keyOf(labels);
    let row = byKey.get(key);
    if (!row) {
      row = { key, tenant: labels.tenant ?? "", service: labels.service ?? "", interface: labels.interface ?? "", calls: 0, errors: null, failed: 0, p50: null, p99: null, input: null, output: null, callsOver: [], p99Over: [] };
      byKey.set(key, row);
    }
    row.calls += known(value) ?? 0;
    if (labels.outcome === "error") row.failed += known(value) ?? 0;
  }
  const each = <S extends { labels: Labels }>(list: S[] | undefined, put: (row: Row, one: S) => void) => {
    for (const one of list ?? []) {
      const row = byKey.get(keyOf(one.labels));
      if (row) put(row, one);
    }
  };
  each(p50, (row, { value }) => (row.p50 = known(value)));
  each(p99, (row, { value }) => (row.p99 = known(value)));
  each(tokens, (row, { labels, value }) => {
    if (labels.direction === "input") row.input = known(value);
    else row.output = known(value);
  });
  each(callsOver?.series, (row, { values }) => (row.callsOver = values));
  each(p99Over?.series, (row, { values }) => (row.p99Over = values));
  // What was not called in this time is no row: its series may be hours old.
  return [...byKey.values()].filter((row) => row.calls > 0).map(({ failed, ...row }) => ({ ...row, errors: row.calls > 0 ? failed / row.calls : null }));
}

/** Rows that have all words in their names. */
export function matching(all: Row[], text: string): Row[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return all;
  return all.filter((row) => {
    const name = `${row.tenant} ${row.service} ${row.interface}`.toLowerCase();
    return words.every((word) => name.includes(word));
  });
}
