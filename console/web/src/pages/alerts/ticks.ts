//! Times at an axis. Pure.

const STEPS = [6e4, 3e5, 6e5, 18e5, 36e5, 108e5, 216e5, 432e5, 864e5, 6048e5];

/** Whole times within a stretch, about six of them, on local hours and days. */
export function ticks(from: number, to: number): number[] {
  const step = STEPS.find((step) => (to - from) / step <= 7) ?? 6048e5;
  const zone = new Date(from).getTimezoneOffset() * 6e4;
  const all: number[] = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at <= to; at += step) all.push(at);
  return all;
}
