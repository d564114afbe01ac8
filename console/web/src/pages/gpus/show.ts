//! How measures are shown.
import { percent } from "../../lib/format";

/** A dash where there is no value. */
export function dash(value: number | null, text: (value: number) => string): string {
  return value === null ? "–" : text(value);
}

/** A ratio as whole percent. */
export function percents(value: number): string {
  return percent(value, 0);
}
