//! PromQL: one value of each series now, or values over the stretch that the page shows.
import { get } from "./api";
import { range, step } from "./time";

export type Labels = Record<string, string>;

export interface Sample {
  labels: Labels;
  value: number;
}

/** Series over the same times. */
export interface Matrix {
  /** Unix seconds, ascending, `step` apart. */
  times: number[];
  step: number;
  series: { labels: Labels; values: (number | null)[] }[];
}

interface Answer<R> {
  data: { result: R };
  warnings?: string[];
}

/** The value of each series at `time`, in unix seconds; now, where it is not given. */
export async function query(expr: string, { time, signal }: { time?: number; signal?: AbortSignal } = {}): Promise<Sample[]> {
  type Row = { metric: Labels; value: [number, string] };
  const { data } = await get<Answer<Row[]>>("/prometheus/api/v1/query", { query: expr, time }, signal);
  return data.result.map((row) => ({ labels: row.metric, value: Number(row.value[1]) }));
}

export interface Over {
  signal?: AbortSignal;
  /** Milliseconds since 1970; the page's stretch where they are not given. */
  from?: number;
  to?: number;
  /** Seconds. */
  every?: number;
}

/** Each series over a stretch of time. The times are whole multiples of the step, so that points stand still. */
export async function queryRange(expr: string, { signal, ...over }: Over = {}): Promise<Matrix> {
  const { from, to } = { from: over.from ?? range.value.from, to: over.to ?? range.value.to };
  const every = over.every ?? step({ from, to });
  const first = Math.ceil(from / 1e3 / every) * every;
  const last = Math.floor(to / 1e3 / every) * every;
  const times: number[] = [];
  for (let at = first; at <= last; at += every) times.push(at);
  if (!times.length) return { times, step: every, series: [] };
  type Row = { metric: Labels; values: [number, string][] };
  const args = { query: expr, start: first, end: last, step: every };
  const { data } = await get<Answer<Row[]>>("/prometheus/api/v1/query_range", args, signal);
  const series = data.result.map(({ metric, values: points }) => {
    const values = new Array<number | null>(times.length).fill(null);
    for (const [at, value] of points) {
      const number = Number(value);
      if (Number.isFinite(number)) values[Math.round((at - first) / every)] = number;
    }
    return { labels: metric, values };
  });
  return { times, step: every, series };
}

/** A text within quotes of PromQL. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

/** `{service="ocr",interface="POST /v1/ocr"}`; what is empty is left out. */
export function matchers(labels: Record<string, string | undefined>): string {
  const known = Object.entries(labels).filter((pair): pair is [string, string] => Boolean(pair[1]));
  return `{${known.map(([name, value]) => `${name}=${quoted(value)}`).join(",")}}`;
}
