//! Indexed metric points over the stretch that the page shows: for days, where PromQL's series are kept for hours.
import { get } from "./api";
import type { Matrix } from "./prom";
import { range, step } from "./time";
import type { SeriesAnswer } from "./types/metrics";

export interface PointsQuery {
  /** OTLP names: `hw.gpu.utilization`. */
  metric: string;
  /** In Lucene's grammar. */
  query: string;
  /** Fields that series are told apart by; others are merged, as `agg` says. */
  by: string[];
  stat?: "avg" | "min" | "max" | "last" | "rate" | "increase";
  agg?: "sum" | "avg" | "min" | "max";
  limit?: number;
}

/** Seconds for which a value stands where none comes: more than the interval at which machines are measured. */
const HELD = 90;

/** Puts the last value in the places behind it, `most` of them at most. */
export function hold(values: (number | null)[], most: number) {
  let last = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] !== null) last = at;
    else if (at - last <= most) values[at] = values[last] ?? null;
  }
}

/** Each series over the page's stretch, on whole multiples of the step; its labels are the fields of `by`, and `metric`. */
export async function points({ by, ...asked }: PointsQuery, signal?: AbortSignal, most = 180): Promise<Matrix> {
  const { from, to } = range.value;
  // Steps below ten seconds would be emptier than the intervals at which machines are measured.
  const every = Math.max(10, step({ from, to }, most));
  const first = Math.ceil(from / 1e3 / every) * every;
  const last = Math.floor(to / 1e3 / every) * every;
  const times: number[] = [];
  for (let at = first; at <= last; at += every) times.push(at);
  if (!times.length) return { times, step: every, series: [] };
  const args = { ...asked, by: by.join(","), start: first, end: last + every, step: `${every}s`, limit: asked.limit ?? 200 };
  const { series } = await get<SeriesAnswer>("/api/v1/metrics/series", args, signal);
  return {
    times,
    step: every,
    series: series.map((one) => {
      const values = new Array<number | null>(times.length).fill(null);
      for (const [time, value] of one.points) {
        const at = Math.round((Date.parse(time) / 1e3 - first) / every);
        if (typeof value === "number" && at >= 0 && at < values.length) values[at] = value;
      }
      if (asked.stat !== "increase") hold(values, Math.ceil(HELD / every));
      const labels: Record<string, string> = { metric: one.metric };
      for (const [name, value] of Object.entries(one.labels ?? {})) if (value !== null) labels[name] = value;
      return { labels, values };
    }),
  };
}
