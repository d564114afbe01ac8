//! Numbers as text, with units that fit.
import { lang } from "./words";

/** `12,345` */
export function count(value: number): string {
  return value.toLocaleString(lang.value);
}

/** `12.3k`, `1.2M`: at most four characters and a letter. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && size < 0.01) return size < 1e-6 ? value.toExponential(0) : String(Number(value.toPrecision(1)));
  const units: [number, string][] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const [unit, letter] = units.find(([unit]) => size >= unit) ?? [1, ""];
  const scaled = value / unit;
  const digits = Math.abs(scaled) >= 100 || Number.isInteger(scaled) ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return `${Number(scaled.toFixed(digits))}${letter}`;
}

/** Bytes: `12.3 MB`. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let at = 0;
  while (Math.abs(value) >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${Number(value.toFixed(value >= 100 || at === 0 ? 0 : 1))} ${units[at]}`;
}

/** A duration in milliseconds: `850 µs`, `12.3 ms`, `1.5 s`, `2 min 5 s`, `3 h 2 min`. */
export function ms(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0 ms";
  if (value < 0) return `-${ms(-value)}`;
  if (value < 1) return `${Number((value * 1e3).toFixed(value < 0.1 ? 1 : 0))} µs`;
  if (value < 999.5) return `${Number(value.toFixed(value < 100 ? 1 : 0))} ms`;
  if (value < 59_995) return `${Number((value / 1e3).toFixed(2))} s`;
  // Rounded first: what is split after that sums up to it.
  const seconds = Math.round(value / 1e3);
  const [hour, minute, second] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const parts = (great: string, small: number, unit: string) => (small ? `${great} ${small} ${unit}` : great);
  if (hour >= 24) return parts(`${Math.floor(hour / 24)} d`, hour % 24, "h");
  return hour ? parts(`${hour} h`, minute, "min") : parts(`${minute} min`, second, "s");
}

/** A ratio as percent: `12.5%`. */
export function percent(value: number, digits = 1): string {
  return Number.isFinite(value) ? `${Number((value * 100).toFixed(digits))}%` : "–";
}
