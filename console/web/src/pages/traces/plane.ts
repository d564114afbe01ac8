//! The plane of the scatter: from values to pixels and back.
import { linearTicks, logTicks } from "../../lib/ticks";

export interface Plane {
  width: number;
  height: number;
  /** Milliseconds since 1970. */
  from: number;
  to: number;
  /** Milliseconds. */
  least: number;
  most: number;
  log: boolean;
}

/** Distances of the plane to the edges of the canvas, in pixels. */
export const EDGE = { left: 60, right: 8, top: 8, bottom: 22 };

const clamp = (value: number, low: number, high: number) => Math.max(low, Math.min(high, value));

/** The least and the greatest duration of the axis, with some air. */
export function bounds(durations: number[], log: boolean): { least: number; most: number } {
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const value of durations) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (!(high > 0)) return { least: log ? 0.1 : 0, most: 10 };
  if (!log) return { least: 0, most: high * 1.06 };
  return { least: Math.max(low / 1.4, high / 1e7, 1e-3), most: high * 1.4 };
}

export function x(plane: Plane, at: number): number {
  return EDGE.left + ((at - plane.from) / (plane.to - plane.from)) * (plane.width - EDGE.left - EDGE.right);
}

export function y(plane: Plane, duration: number): number {
  const inside = plane.height - EDGE.top - EDGE.bottom;
  const share = plane.log
    ? Math.log(Math.max(duration, plane.least) / plane.least) / Math.log(plane.most / plane.least)
    : (duration - plane.least) / (plane.most - plane.least);
  return EDGE.top + (1 - clamp(share, 0, 1)) * inside;
}

export function timeAt(plane: Plane, left: number): number {
  const share = (left - EDGE.left) / (plane.width - EDGE.left - EDGE.right);
  return plane.from + clamp(share, 0, 1) * (plane.to - plane.from);
}

export function durationAt(plane: Plane, top: number): number {
  const share = clamp(1 - (top - EDGE.top) / (plane.height - EDGE.top - EDGE.bottom), 0, 1);
  return plane.log ? plane.least * (plane.most / plane.least) ** share : plane.least + share * (plane.most - plane.least);
}

/** Lines of the duration axis. */
export function durationTicks({ least, most, log }: Plane): number[] {
  return log ? logTicks(least, most) : linearTicks(least, most, 4);
}

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5, 1728e5, 6048e5];

/** Lines of the time axis, in the browser's zone, and how far they lie apart. */
export function timeTicks({ from, to, width }: Plane): { ticks: number[]; every: number } {
  const least = (to - from) / Math.max(1, Math.floor(width / 110));
  const every = STEPS.find((step) => step >= least) ?? 6048e5 * Math.ceil(least / 6048e5);
  const shift = new Date(from).getTimezoneOffset() * 6e4;
  const ticks: number[] = [];
  for (let at = Math.ceil((from - shift) / every) * every + shift; at <= to; at += every) ticks.push(at);
  return { ticks, every };
}

/** The point nearest to a place, within `reach` pixels. */
export function nearest(points: { x: number; y: number }[], left: number, top: number, reach: number): number | null {
  let [best, distance] = [-1, reach * reach];
  points.forEach((point, at) => {
    const away = (point.x - left) ** 2 + (point.y - top) ** 2;
    if (away <= distance) [best, distance] = [at, away];
  });
  return best < 0 ? null : best;
}
