//! A body as one line, and as a whole.
import { characters, spans, type Span } from "./ansi";
import type { Hit, Json } from "../../lib/types/logs";

/** Characters of a body in a row: no screen is wider. */
const ROW = 600;
/** Characters of a text that are shown before all are asked for. */
export const CUT = 16_384;

/** Names that senders give to the message of a structured body. */
const MESSAGES = ["message", "msg", "event", "log"];

export function text(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value) ?? "";
}

/** A body that is an object, also where it came as text; null where it is none. */
export function structured(body: Json): Record<string, Json> | null {
  if (typeof body === "object" && body !== null && !Array.isArray(body)) return body;
  if (typeof body !== "string" || body.length > 65_536 || !/^\s*\{[\s\S]*\}\s*$/.test(body)) return null;
  try {
    const read: Json = JSON.parse(body);
    return typeof read === "object" && read !== null && !Array.isArray(read) ? read : null;
  } catch {
    return null;
  }
}

/** The message of a structured body, then `name=value` of the rest. */
function compact(body: Record<string, Json>): [text: string, look: string][] {
  const message = MESSAGES.find((name) => typeof body[name] === "string");
  const parts: [string, string][] = message === undefined ? [] : [[`${text(body[message] ?? "")}  `, ""]];
  let length = 0;
  for (const [name, value] of Object.entries(body)) {
    if (name === message || length > ROW) continue;
    const shown = text(value).slice(0, ROW);
    length += name.length + shown.length;
    parts.push([`${name}=`, "faint"], [`${shown} `, ""]);
  }
  return parts;
}

/** Stretches of `within` that are equal to one of `words`, whatever the case. */
function occurrences(within: string, words: string[]): [number, number][] {
  const low = within.toLowerCase();
  const found: [number, number][] = [];
  for (const word of words) {
    for (let at = low.indexOf(word); at >= 0; at = low.indexOf(word, at + word.length)) found.push([at, at + word.length]);
  }
  return found.sort(([a], [b]) => a - b);
}

const known = new WeakMap<Hit, Span[]>();

/** A body as one line, cut at what a row can show. What matched is in it. */
export function line(hit: Hit): Span[] {
  const before = known.get(hit);
  if (before) return before;
  const made = make(hit);
  known.set(hit, made);
  return made;
}

function make({ body, attributes, highlights = [] }: Hit): Span[] {
  // A line without a body is what its attributes say.
  const fields = body === "" || body === null ? attributes : structured(body);
  const whole = text(body);
  // A match far behind in a huge text is not worth counting its bytes.
  const near = highlights.filter(([, end]) => end < 200_000);
  const matches = near.length ? characters(whole, near) : [];
  if (fields) {
    const words = [...new Set(matches.map(([start, end]) => whole.slice(start, end).toLowerCase()))].filter(Boolean);
    return compact(fields).flatMap(([part, look]) => {
      const cut = part.slice(0, ROW);
      return spans(cut, occurrences(cut, words), true).map((span) => ({ ...span, look: span.look || look }));
    });
  }
  const first = matches[0]?.[0] ?? 0;
  const from = first > 160 ? first - 60 : 0;
  const shifted = matches.map(([start, end]): [number, number] => [start - from, end - from]).filter(([, end]) => end > 0);
  const shown = spans(whole.slice(from, from + ROW), shifted, true);
  return from ? [{ text: "… ", look: "faint", isMatch: false }, ...shown] : shown;
}

/** The body for reading: objects on many lines, text as it came, with its matches. */
export function full(hit: Hit, all: boolean): Span[] {
  const fields = structured(hit.body);
  const whole = fields ? JSON.stringify(fields, null, 2) : text(hit.body);
  const cut = all ? whole : whole.slice(0, CUT);
  const bytes = (hit.highlights ?? []).filter(([, end]) => end < 200_000);
  if (!fields) return spans(cut, characters(whole, bytes));
  const raw = text(hit.body);
  const words = [...new Set(characters(raw, bytes).map(([start, end]) => raw.slice(start, end).toLowerCase()))].filter(Boolean);
  return spans(cut, occurrences(cut, words));
}

/** Characters of the body for reading. */
export function fullLength(hit: Hit): number {
  const fields = structured(hit.body);
  return fields ? JSON.stringify(fields, null, 2).length : text(hit.body).length;
}

/** The trace of a line; also where only its body names it. */
export function traceOf(hit: Hit): string | null {
  if (/^[0-9a-f]{32}$/.test(hit.trace_id)) return hit.trace_id;
  const named = /\btrace[_.-]?id["']?\s*[=:]\s*["']?([0-9a-f]{32})\b/i.exec(text(hit.body).slice(0, CUT));
  const attribute = hit.attributes["trace_id"] ?? hit.attributes["trace.id"];
  if (named?.[1]) return named[1].toLowerCase();
  return typeof attribute === "string" && /^[0-9a-f]{32}$/.test(attribute) ? attribute : null;
}
