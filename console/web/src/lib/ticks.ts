//! Round values for axes that pages draw themselves.

/** 1, 2 or 5 times a power of ten, at least `value`. */
export function nice(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((part) => part * power >= value * 0.9999) ?? 10) * power;
}

/** Multiples of a round step within a stretch, about `count` of them. */
export function linearTicks(low: number, high: number, count: number): number[] {
  const every = nice((high - low) / count);
  const ticks: number[] = [];
  // A sum with 0 is never -0.
  for (let at = Math.ceil(low / every - 1e-9) + 0; at * every <= high; at += 1) ticks.push(Number((at * every).toPrecision(12)));
  return ticks;
}

/** Round values of a logarithmic axis: of a short one the multiples of a step, of a long one the powers of ten. */
export function logTicks(low: number, high: number): number[] {
  if (high / low < 8) return linearTicks(low, high, 4);
  const parts = high / low < 300 ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const part of parts) {
      const value = Number((part * 10 ** power).toPrecision(12));
      if (value >= low && value <= high) ticks.push(value);
    }
  }
  return ticks;
}
