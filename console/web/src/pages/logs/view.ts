//! What the address says of the page.
import { rfc3339 } from "../../lib/time";
import { here, param } from "../../lib/url";
import { lang } from "../../lib/words";
import type { Hit } from "../../lib/types/logs";

export interface View {
  query: string;
  order: "asc" | "desc";
  columns: string[];
  isLive: boolean;
  /** The line that is open. */
  line: string;
  /** Its time. */
  at: string;
}

/** Reads signals. */
export function view(): View {
  void lang.value;
  return {
    query: param("query"),
    order: param("order") === "asc" ? "asc" : "desc",
    columns: param("columns").split(",").filter(Boolean).slice(0, 20),
    isLive: param("live") === "1",
    line: param("line"),
    at: param("at"),
  };
}

/** The address of the page with this query. */
export function queryHref(query: string): string {
  return here({ query: query || null, line: null, at: null });
}

/** The address of the page with a line open. */
export function lineHref(hit: Hit): string {
  return here({ line: hit.id, at: hit.timestamp });
}

/** The address that a colleague is sent: the line among those around it, whatever the time is by then. */
export function sharedHref(hit: Hit): string {
  const at = new Date(hit.timestamp).getTime();
  const isFixed = !param("start", "now").startsWith("now") && !param("end", "now").startsWith("now");
  const stretch = isFixed ? {} : { start: rfc3339(at - 3e5), end: rfc3339(at + 3e5) };
  return here({ line: hit.id, at: hit.timestamp, live: null, refresh: null, ...stretch });
}

/** The address of the page with all lines around one, which stays open. */
export function neighboursHref(hit: Hit, minutes = 1): string {
  const at = new Date(hit.timestamp).getTime();
  return here({ query: null, live: null, start: rfc3339(at - minutes * 6e4), end: rfc3339(at + minutes * 6e4), line: hit.id, at: hit.timestamp });
}

/** The address of the page around a time. */
export function aroundHref(time: string, minutes = 5): string {
  const at = new Date(time).getTime();
  return here({ start: rfc3339(at - minutes * 6e4), end: rfc3339(at + minutes * 6e4), line: null, at: null, live: null });
}

/** Columns with one more, or without it where it is there. */
export function columnsWith(columns: string[], name: string): string | null {
  const next = columns.includes(name) ? columns.filter((one) => one !== name) : [...columns, name];
  return next.join(",") || null;
}
