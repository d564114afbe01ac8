//! Which stretch of time a report is of, and how it is cut: days and months of a time zone.
import type { Range } from "../../lib/time";

export const PERIODS = ["month", "last_month", "7d", "30d"] as const;
export type Period = (typeof PERIODS)[number];
export type Step = "hour" | "day" | "month";

const HOUR = 36e5;
const DAY = 24 * HOUR;

/** How far the clock of a zone is ahead of UTC at a time, in milliseconds. */
function ahead(at: number, zone: string): number {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  const parts: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(at)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1e3) * 1e3;
}

/** The stretch that begins at a time, as the zone's clocks call it: `2026-11-01 13:00`, `2026-11-01`, `2026-11`. */
export function stepText(at: number, step: Step, zone: string): string {
  const local = new Date(at + ahead(at, zone)).toISOString();
  return local.slice(0, { hour: 16, day: 10, month: 7 }[step]).replace("T", " ");
}

/** The time at which clocks of the zone show this: again where they are turned on between. */
function zoned(local: number, zone: string): number {
  const first = local - ahead(local, zone);
  return local - ahead(first, zone);
}

/** When the day or month of a time began, `by` days or months on. */
export function startOf(unit: "day" | "month", at: number, zone: string, by = 0): number {
  const local = new Date(at + ahead(at, zone));
  const [year, month, day] = [local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate()];
  return zoned(unit === "month" ? Date.UTC(year, month + by, 1) : Date.UTC(year, month, day + by), zone);
}

/** In milliseconds since 1970. */
export function rangeOf(period: Period, now: number, zone: string): Range {
  switch (period) {
    case "month":
      return { from: startOf("month", now, zone), to: now };
    case "last_month":
      return { from: startOf("month", now, zone, -1), to: startOf("month", now, zone) };
    case "7d":
      return { from: startOf("day", now, zone, -6), to: now };
    case "30d":
      return { from: startOf("day", now, zone, -29), to: now };
  }
}

/** `[from, to)` widened to whole hours, as usage is kept. */
export function wholeHours({ from, to }: Range): Range {
  return { from: Math.floor(from / HOUR) * HOUR, to: Math.ceil(to / HOUR) * HOUR };
}

/** Whether the zone's days begin with an hour of UTC: usage is kept by these. */
export function isWholeHours(zone: string, at: number): boolean {
  return ahead(at, zone) % HOUR === 0;
}

export function stepOf({ from, to }: Range): Step {
  if (to - from <= 3 * DAY) return "hour";
  return to - from <= 100 * DAY ? "day" : "month";
}

/** Starts of the stretches that the API cuts a report into, in unix seconds; the first begins with the range. */
export function cuts(range: Range, step: Step, zone: string): number[] {
  const { from, to } = wholeHours(range);
  const all: number[] = [];
  for (let at = from; at < to; ) {
    all.push(at / 1e3);
    at = step === "hour" ? at + HOUR : startOf(step, at, zone, 1);
  }
  return all;
}

/** `2026-10`: the month before that of a time. */
export function monthBefore(at: number, zone: string): string {
  const local = new Date(startOf("month", at, zone, -1) + DAY);
  return `${local.getUTCFullYear()}-${String(local.getUTCMonth() + 1).padStart(2, "0")}`;
}
