//! The stretch of time that a page shows, and times as text.
import { computed, signal } from "@preact/signals";
import { lang } from "./words";
import { param, set } from "./url";

/** Milliseconds since 1970, from the page's clock. Moves on with [`tick`], so that all parts of a page agree. */
export const now = signal(Date.now());

/** Reads the clock again: relative times move on. */
export function tick() {
  now.value = Date.now();
}

const UNITS: Record<string, number> = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };

/** Times are kept as nanoseconds since 1970 in 64 bits: until 2262, in milliseconds. */
const FARTHEST = 9.2e12;

/** `now`, `now-15m`, `now-1d`, RFC 3339, unix seconds; null where it is none of these, or too far away. */
export function parseTime(text: string, at: number): number | null {
  const time = parsed(text, at);
  return time !== null && time >= 0 && time < FARTHEST ? time : null;
}

function parsed(text: string, at: number): number | null {
  const relative = /^now(?:([+-])(\d+)([smhdw]))?$/.exec(text.trim());
  if (relative) {
    const [, sign, count, unit] = relative;
    if (!sign) return at;
    return at + (sign === "-" ? -1 : 1) * Number(count) * (UNITS[unit ?? "s"] ?? 0);
  }
  if (/^\d{9,11}(\.\d+)?$/.test(text)) return Number(text) * 1e3;
  const absolute = Date.parse(text);
  return Number.isNaN(absolute) ? null : absolute;
}

export const DEFAULT_START = "now-15m";

/** The stretch of a page where the address names none. */
export interface Usual {
  start: string;
  end: string;
  /** As the picker of the time calls it. */
  label: string;
}

/** Set by a page, while it is shown, that has another than the last 15 minutes. */
export const usual = signal<Usual | null>(null);

/** As it stands in the address. */
export const asked = computed(() => {
  const { start = DEFAULT_START, end = "now" } = param("start") ? {} : (usual.value ?? {});
  return { start: param("start", start), end: param("end", end) };
});

export interface Range {
  /** Milliseconds since 1970. */
  from: number;
  to: number;
}

/** In milliseconds since 1970; a time that cannot be read is the default. */
export const range = computed<Range>(() => {
  const { start, end } = asked.value;
  const to = parseTime(end, now.value) ?? now.value;
  const from = parseTime(start, now.value) ?? to - 9e5;
  return from < to ? { from, to } : { from: to - 9e5, to };
});

/** Whether the end moves with the clock. */
export const isLive = computed(() => asked.value.end.startsWith("now"));

/** `start` and `end` for an API. */
export const bounds = computed(() => ({ start: rfc3339(range.value.from), end: rfc3339(range.value.to) }));

export function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}

/** Shows this stretch, as after a drag on a chart. */
export function zoom(from: number, to: number) {
  if (to - from < 1) return;
  set({ start: rfc3339(Math.floor(from)), end: rfc3339(Math.ceil(to)) });
}

/** A step for about `points` points over a stretch, in seconds: 1, 2, 5, 10, 15, 30, 60, … */
export function step({ from, to }: Range, points = 240): number {
  const least = (to - from) / 1e3 / points;
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
  return steps.find((step) => step >= least) ?? Math.ceil(least / 86400) * 86400;
}

const pad = (value: number, width = 2) => String(value).padStart(width, "0");

/** `2026-11-30 13:39:56.702` in the browser's zone; RFC 3339 with nanoseconds is taken. */
export function clock(time: string | number, digits = 3): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return String(time);
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  const second = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return `${day} ${second}${digits ? `.${pad(at.getMilliseconds(), 3).slice(0, digits)}` : ""}`;
}

/** `13:39:56`, with the day where it is not today. */
export function shortClock(time: string | number): string {
  const text = clock(time, 0);
  const [day, second] = text.split(" ");
  return day === clock(now.value, 0).split(" ")[0] ? (second ?? text) : `${day?.slice(5)} ${second?.slice(0, 5)}`;
}

/** How long ago, in words: `12 s ago`. */
export function ago(time: string | number): string {
  const seconds = Math.round((now.value - new Date(time).getTime()) / 1e3);
  const units: [number, Intl.RelativeTimeFormatUnit][] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const [size, unit] = units.find(([size]) => Math.abs(seconds) >= size) ?? [1, "second"];
  return new Intl.RelativeTimeFormat(lang.value, { style: "short" }).format(-Math.round(seconds / size), unit);
}
