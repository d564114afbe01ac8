//! Lines over time by severity, as weir answers it soonest.
import { get } from "./api";
import { isCounted, joined, LEVELS } from "./severity";
import { bounds } from "./time";
import type { HistogramAnswer } from "./types/logs";

/** `interval` in seconds. */
export async function linesBySeverity(query: string, interval: number, signal: AbortSignal): Promise<HistogramAnswer> {
  const ask = (query: string, field?: string) =>
    get<HistogramAnswer>("/api/v1/logs/histogram", { ...bounds.value, query, interval: `${interval}s`, field }, signal);
  if (!isCounted(query)) return ask(query, "severity");
  // A split reads the severity of every line; a count of each severity reads none. The query by itself comes first: what
  // is wrong with it is said of it as it was written.
  const all = await ask(query);
  const split = await Promise.all(LEVELS.map((level) => ask(query.trim() ? `(${query}) AND severity:${level}` : `severity:${level}`)));
  return joined(all, split);
}
