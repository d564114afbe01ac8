//! The time axis of a trace, in milliseconds from its start.
import { ms } from "../../lib/format";
import { linearTicks } from "../../lib/ticks";

export interface View {
  from: number;
  to: number;
}

/** The least stretch one can zoom to: 1 µs. */
const LEAST = 1e-3;

/** `12.5-80` of an address; the whole trace where it is none. */
export function readView(text: string, duration: number): View {
  const found = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(text);
  const whole = { from: 0, to: Math.max(duration, LEAST) };
  if (!found) return whole;
  const from = Math.min(Number(found[1]), whole.to);
  const to = Math.min(Number(found[2]), whole.to);
  return to - from >= LEAST ? { from, to } : whole;
}

/** A stretch for an address; null for the whole trace. */
export function writeView({ from, to }: View, duration: number): string | null {
  if (from <= 0 && to >= duration) return null;
  const text = (value: number) => String(Number(value.toFixed(4)));
  return `${text(Math.max(0, from))}-${text(Math.min(duration, to))}`;
}

/** Nearer (`by` < 1) or further, about the middle. */
export function scaled({ from, to }: View, by: number, duration: number): View {
  const length = Math.min(Math.max((to - from) * by, LEAST), Math.max(duration, LEAST));
  const middle = (from + to) / 2;
  const start = Math.max(0, Math.min(middle - length / 2, duration - length));
  return { from: start, to: start + length };
}

/** Round times within a stretch, about `count` of them. */
export function ticks({ from, to }: View, count: number): number[] {
  return linearTicks(from, to, count);
}

/** A time of the axis as text: `1.25 s`. */
export function tickText(value: number): string {
  return ms(Number(value.toPrecision(6))).replace(/ 0 (s|min)$/, "");
}

/** Where a time lies within a stretch: 0 to 1 inside. */
export function share({ from, to }: View, at: number): number {
  return (at - from) / (to - from);
}
