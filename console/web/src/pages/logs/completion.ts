//! What may stand at the cursor of a query.
import { quoted } from "../../lib/lucene";
import type { FieldsAnswer } from "../../lib/types/logs";

/** The word that is being written. */
export interface Target {
  /** Where the word is, in characters; a choice takes its place. */
  start: number;
  end: number;
  /** What of it is written. */
  prefix: string;
  /** The field whose value it is; null where it may be a field's name. */
  field: string | null;
}

export interface Suggestion {
  kind: "field" | "value" | "recent" | "operator";
  label: string;
  /** Takes the place of the word, or of the whole query where it is a recent one. */
  insert: string;
  count?: number;
}

/** Characters before the cursor that are looked at: longer words are not completed, and a query may be of any length. */
const MOST_BEFORE = 500;

export function target(query: string, caret: number): Target {
  const before = query.slice(Math.max(0, caret - MOST_BEFORE), caret);
  const found = /(?:^|[\s(!+-])(?:([\p{L}\p{N}_@.\-/]+):)?("(?:[^"\\]|\\.)*|(?:[<>]=?)?[^\s()":<>]*)$/u.exec(before);
  const written = found?.[2] ?? "";
  const operator = /^[<>]=?/.exec(written)?.[0] ?? "";
  const start = caret - written.length + operator.length;
  const rest = written.startsWith('"') ? /^[^"]*"?/ : /^[^\s()"]*/;
  const end = caret + (rest.exec(query.slice(caret))?.[0].length ?? 0);
  return { start, end, prefix: written.slice(operator.length).replace(/^"/, ""), field: found?.[1] ?? null };
}

/** How near a name is to what is written: 0 begins so, 1 a part of it begins so, 2 holds it; 3 not at all. */
function distance(name: string, prefix: string): number {
  const [low, wanted] = [name.toLowerCase(), prefix.toLowerCase()];
  if (low.startsWith(wanted)) return 0;
  if (low.includes(`.${wanted}`)) return 1;
  return low.includes(wanted) ? 2 : 3;
}

export function fieldSuggestions(fields: FieldsAnswer["fields"], prefix: string, most = 12): Suggestion[] {
  const near = fields.map((field) => ({ field, far: distance(field.name, prefix) })).filter(({ far }) => far < 3);
  const rank = (name: string) => (name.includes(".") ? (name.startsWith("attributes.") ? 1 : 2) : 0);
  near.sort((a, b) => a.far - b.far || rank(a.field.name) - rank(b.field.name) || b.field.count - a.field.count);
  return near.slice(0, most).map(({ field }) => ({ kind: "field", label: field.name, insert: `${field.name}:`, count: field.count }));
}

export function valueSuggestions(values: { value: string; count: number }[], prefix: string, most = 12): Suggestion[] {
  const near = values.map((value) => ({ value, far: distance(value.value, prefix) })).filter(({ far, value }) => far < 3 && value.value !== "");
  near.sort((a, b) => a.far - b.far || b.value.count - a.value.count);
  return near.slice(0, most).map(({ value }) => ({ kind: "value", label: value.value.slice(0, 200), insert: `${quoted(value.value)} `, count: value.count }));
}

export function recentSuggestions(recent: string[], query: string, most = 6): Suggestion[] {
  const wanted = query.trim().toLowerCase();
  const near = recent.filter((one) => one !== query && one.toLowerCase().includes(wanted));
  return near.slice(0, most).map((one) => ({ kind: "recent", label: one, insert: one }));
}

/** The query with a suggestion in its place, and where the cursor stands behind it. */
export function taken(query: string, at: Target, { kind, insert }: Suggestion): { query: string; caret: number } {
  if (kind === "recent") return { query: insert, caret: insert.length };
  const behind = query.slice(at.end);
  const text = insert.endsWith(" ") && /^\s/.test(behind) ? insert.trimEnd() : insert;
  return { query: query.slice(0, at.start) + text + behind, caret: at.start + text.length };
}
