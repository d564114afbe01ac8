//! Levels of log lines, and how many lines of each there are over time. Pure.
import type { HistogramAnswer } from "./types/logs";

/** From the ground up: what is rare and bad stands on the axis, where few are seen too. */
export const LEVELS = ["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/** `ERROR2` is `ERROR`; empty where it is none of the six. */
export function level(severity: string): string {
  const name = severity.toUpperCase().replace(/\d+$/, "");
  return LEVELS.includes(name) ? name : "";
}

export interface Histogram {
  /** Unix seconds. */
  times: number[];
  /** By level; empty where a line has none. */
  levels: { level: string; values: (number | null)[] }[];
}

/** Every step of the stretch has a value: a time without lines is 0. `from` and `to` in milliseconds. */
export function histogram(answer: HistogramAnswer, from: number, to: number): Histogram {
  const step = answer.interval_seconds;
  const first = Math.floor(from / 1e3 / step) * step;
  const length = Math.min(5000, Math.max(1, Math.ceil((to / 1e3 - first) / step)));
  const times = Array.from({ length }, (_, at) => first + at * step);
  const byLevel = new Map<string, (number | null)[]>();
  const add = (name: string, at: number, count: number) => {
    if (!count || at < 0 || at >= length) return;
    const values = byLevel.get(name) ?? new Array<number | null>(length).fill(null);
    values[at] = (values[at] ?? 0) + count;
    byLevel.set(name, values);
  };
  for (const { start, values = {}, count, other } of answer.buckets) {
    const at = Math.round((Date.parse(start) / 1e3 - first) / step);
    let named = 0;
    for (const [severity, lines] of Object.entries(values)) {
      add(level(severity), at, lines);
      named += lines;
    }
    add("", at, other || Math.max(0, count - named));
  }
  const levels = [...LEVELS, ""].flatMap((level) => {
    const values = byLevel.get(level);
    return values ? [{ level, values }] : [];
  });
  return { times, levels };
}

/** 0 is the worst; what is none of the six comes last. */
export function rank(severity: string): number {
  const at = LEVELS.indexOf(level(severity));
  return at < 0 ? LEVELS.length : at;
}

/** From the worst to the least; what is none of the six comes last. */
export function bySeverity(a: { value: string }, b: { value: string }): number {
  return rank(a.value) - rank(b.value) || a.value.localeCompare(b.value);
}

/**
 * Whether weir counts the query from what its index knows of words and fields, in milliseconds however many lines there
 * are. Parts of words, phrases and ranges are looked for in the lines.
 */
export function isCounted(query: string): boolean {
  return !/[*?/~"<>[\]{}]/.test(query);
}

/** The counts of each level beside those of all. */
export function joined(all: HistogramAnswer, split: HistogramAnswer[]): HistogramAnswer {
  const values = new Map<string, Record<string, number>>();
  split.forEach(({ buckets }, at) => {
    for (const { start, count } of buckets) {
      if (count) values.set(start, { ...values.get(start), [LEVELS[at] ?? ""]: count });
    }
  });
  return { ...all, buckets: all.buckets.map((bucket) => ({ ...bucket, values: values.get(bucket.start) ?? {} })) };
}
