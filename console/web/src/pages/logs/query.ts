//! Edits of a query's text: filters of a field are added, changed and taken out; the rest stays as it was written.
import { quoted } from "../../lib/lucene";

/** A part of a query: text from `start` to `end`, in characters. */
export interface Token {
  start: number;
  end: number;
  text: string;
}

/** Words of the highest level: what is quoted, in brackets or in slashes is within one. */
export function tokens(query: string): Token[] {
  const found: Token[] = [];
  let start = -1;
  let depth = 0;
  let quote = "";
  for (let at = 0; at < query.length; at += 1) {
    const char = query[at] ?? "";
    if (start < 0) {
      if (/\s/.test(char)) continue;
      start = at;
    }
    if (char === "\\") at += 1;
    else if (quote) quote = char === quote ? "" : quote;
    else if (char === '"' || (char === "/" && (at === start || query[at - 1] === ":"))) quote = char;
    else if ("([{".includes(char)) depth += 1;
    else if (")]}".includes(char)) depth = Math.max(0, depth - 1);
    else if (depth === 0 && /\s/.test(char)) {
      found.push({ start, end: at, text: query.slice(start, at) });
      start = -1;
    }
  }
  if (start >= 0) found.push({ start, end: query.length, text: query.slice(start) });
  return found;
}

/** Parts that must all hold; null where the highest level has alternatives. */
export function clauses(query: string): string[] | null {
  const parts: string[] = [];
  let prefix = "";
  for (const { text } of tokens(query)) {
    if (text === "OR" || text === "||") return null;
    if (text === "AND" || text === "&&") continue;
    if (text === "NOT" || text === "!") prefix = "NOT ";
    else if (/^\S+:$/.test(text)) prefix += text;
    else if (/^(\S+:)?IN$/.test(text)) prefix += `${text} `;
    else {
      parts.push(prefix + text);
      prefix = "";
    }
  }
  if (prefix) parts.push(prefix.trim());
  return parts;
}

/** A query whose parts must all hold. */
export function join(parts: string[]): string {
  return parts.filter(Boolean).join(" AND ");
}

/** A query and one more condition. */
export function and(query: string, clause: string): string {
  const parts = clauses(query);
  if (parts) return parts.includes(clause) ? query : join([...parts, clause]);
  return join([`(${query.trim()})`, clause]);
}

/** Whether a field's name stands in a query as it is. */
export function isName(name: string): boolean {
  return /^[\p{L}\p{N}_@.\-/]+$/u.test(name);
}

function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replace(/\\(.)/g, "$1") : text.replace(/\\(.)/g, "$1");
}

/** The name of a field without what it belongs to: `resource.host.name` and `host.name` are the same facet. */
export function bare(field: string): string {
  return field.replace(/^(resource|attributes)\./, "");
}

/** Values of a field that a query asks for, and those it excludes. */
export interface Choice {
  include: string[];
  exclude: string[];
}

/** A clause that only names values of a field: `a:x`, `a:(x OR y)`, `NOT a:x`. */
function valuesOf(clause: string, field: string): Choice | null {
  const isNot = clause.startsWith("NOT ") || clause.startsWith("-");
  const positive = clause.replace(/^(NOT |-)/, "");
  const colon = positive.indexOf(":");
  if (colon < 1 || bare(positive.slice(0, colon)) !== bare(field)) return null;
  const rest = positive.slice(colon + 1);
  const inside = /^\((.*)\)$/s.exec(rest)?.[1];
  const words = inside === undefined ? [rest] : tokens(inside).map((token) => token.text);
  const values = words.filter((word) => word !== "OR");
  const isSimple = values.length > 0 && words.length === values.length * 2 - 1;
  const isValue = (word: string) => /^("(\\.|[^"\\])*"|[^\s"*?<>[\](){}/:~^]+)$/.test(word);
  if (!isSimple || !values.every(isValue)) return null;
  const named = values.map(unquoted);
  return isNot ? { include: [], exclude: named } : { include: named, exclude: [] };
}

/** What a query chooses of a field. */
export function choiceOf(query: string, field: string): Choice {
  const chosen: Choice = { include: [], exclude: [] };
  for (const clause of clauses(query) ?? []) {
    const of = valuesOf(clause, field);
    chosen.include.push(...(of?.include ?? []));
    chosen.exclude.push(...(of?.exclude ?? []));
  }
  return chosen;
}

/** The query without what it chooses of a field. */
export function without(query: string, field: string): string {
  const parts = clauses(query);
  return parts ? join(parts.filter((clause) => !valuesOf(clause, field))) : query;
}

/** The query with this choice of a field in place of its own. */
export function withChoice(query: string, field: string, { include, exclude }: Choice): string {
  let next = without(query, field);
  const [only] = include;
  if (include.length === 1 && only !== undefined) next = and(next, `${field}:${quoted(only)}`);
  else if (include.length) next = and(next, `${field}:(${include.map(quoted).join(" OR ")})`);
  for (const value of exclude) next = and(next, `NOT ${field}:${quoted(value)}`);
  return next;
}

/**
 * What a click on a value does: free → asked for → excluded → free, where others are asked for too: asked for ↔ free. With
 * `exclude`, free ↔ excluded.
 */
export function toggled(query: string, field: string, value: string, exclude = false): string {
  const { include, exclude: excluded } = choiceOf(query, field);
  const drop = (from: string[]) => from.filter((one) => one !== value);
  const isIn = include.includes(value);
  const isOut = excluded.includes(value);
  const next: Choice = { include: drop(include), exclude: drop(excluded) };
  if (exclude ? !isOut : isIn && include.length === 1) next.exclude.push(value);
  else if (!exclude && !isIn && !isOut) next.include.push(value);
  return withChoice(query, field, next);
}

/** The character that a message of the API names by its byte: `at byte 7: …`. */
export function errorAt(query: string, detail: string): number | null {
  const byte = /\bat byte (\d+)/.exec(detail)?.[1];
  if (byte === undefined) return null;
  const bytes = new TextEncoder().encode(query);
  return new TextDecoder().decode(bytes.slice(0, Number(byte))).length;
}
