//! The distribution of durations: slots of a histogram become bars of equal width on a logarithmic axis.
import { logTicks } from "../../lib/ticks";

export interface Slot {
  from_ms: number;
  to_ms: number;
  count: number;
}

/** `/api/v1/interfaces/latency`. */
export interface Latency {
  count: number;
  mean_ms: number | null;
  max_ms: number | null;
  p50_ms: number | null;
  p90_ms: number | null;
  p99_ms: number | null;
  p999_ms: number | null;
  slots: Slot[];
}

export interface Bars {
  /** Milliseconds, of the whole axis. */
  low: number;
  high: number;
  bars: { from: number; to: number; count: number }[];
  most: number;
}

/** Microseconds are the finest that is measured. */
const LEAST = 1e-3;

export function bars(slots: Slot[], count: number): Bars | null {
  const used = slots.filter((slot) => slot.count > 0);
  const first = used[0];
  const last = used.at(-1);
  if (!first || !last) return null;
  const low = Math.max(first.from_ms, LEAST) * 0.9;
  const high = Math.max(last.to_ms * 1.1, low * 2);
  const width = Math.log(high / low) / count;
  const edge = (at: number) => low * Math.exp(at * width);
  const found = Array.from({ length: count }, (_, at) => ({ from: edge(at), to: edge(at + 1), count: 0 }));
  for (const slot of used) {
    const middle = Math.max((slot.from_ms + slot.to_ms) / 2, low);
    const bar = found[Math.min(count - 1, Math.floor(Math.log(middle / low) / width))];
    if (bar) bar.count += slot.count;
  }
  return { low, high, bars: found, most: Math.max(...found.map((bar) => bar.count)) };
}

/** Where a duration lies on the axis: 0 to 1. */
export function placeOf({ low, high }: Bars, value: number): number {
  return Math.max(0, Math.min(1, Math.log(Math.max(value, low) / low) / Math.log(high / low)));
}

/** Round durations of the axis. */
export function axisTicks({ low, high }: Bars): number[] {
  return logTicks(low, high);
}
