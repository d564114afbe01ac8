//! Values of an expression with the unit that its metric's name tells, where it tells one for certain. Pure.
import { bytes, ms, percent, short } from "../../lib/format";
import type { Num } from "../../lib/types/alerts";

/** How values of an expression are written: they are those of its first operand. */
export function unitOf(whole: string): (value: number) => string {
  const expr = whole.split(/\b(?:and|or|unless)\b|\s(?:==|!=|>=|<=|>|<)\s/)[0] ?? "";
  const isQuotient = expr.includes("/");
  const isRate = /\b(rate|irate|increase|count|count_over_time|deriv)\s*(by|without)?\s*\(/.test(expr.replace(/histogram_quantile[^]*/, ""));
  if (/histogram_quantile\s*\([^]*_seconds/.test(expr)) return (value) => ms(value * 1e3);
  if (isQuotient || isRate) return short;
  if (/_celsius\b/.test(expr)) return (value) => `${short(value)} °C`;
  if (/_watts\b/.test(expr)) return (value) => `${short(value)} W`;
  if (/_bytes\b/.test(expr)) return bytes;
  if (/_ratio\b/.test(expr)) return (value) => percent(value);
  if (/_seconds\b/.test(expr)) return (value) => ms(value * 1e3);
  return short;
}

/** A value of the API: a number, or `NaN`, `+Inf` as text. */
export function valueText(value: Num | null | undefined, expr: string): string {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" ? unitOf(expr)(value) : value.slice(0, 32);
}
