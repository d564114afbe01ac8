//! Fields of a line by name, as the query grammar names them.
import type { Hit, Json } from "../../lib/types/logs";
import { text } from "./body";

type Fields = { [name: string]: Json };

function isFields(value: Json | undefined): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `a.b` of `{"a.b": 1}` and of `{"a": {"b": 1}}`. */
function within(fields: Json | undefined, name: string): Json | undefined {
  if (!isFields(fields)) return undefined;
  if (Object.hasOwn(fields, name)) return fields[name];
  for (let dot = name.indexOf("."); dot > 0; dot = name.indexOf(".", dot + 1)) {
    const head = name.slice(0, dot);
    const found = Object.hasOwn(fields, head) ? within(fields[head], name.slice(dot + 1)) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

const OWN = ["timestamp", "id", "tenant", "service", "severity", "severity_text", "trace_id", "span_id"] as const;

/** A field's value as text; null where the line has no such field. */
export function field(hit: Hit, name: string): string | null {
  const own = OWN.find((one) => one === name);
  if (own) return hit[own] || null;
  const [of, rest] = [name.slice(0, name.indexOf(".")), name.slice(name.indexOf(".") + 1)];
  const places: Record<string, Json | undefined> = { resource: hit.resource, attributes: hit.attributes, scope: hit.scope, body: hit.body };
  const found = Object.hasOwn(places, of) ? within(places[of], rest) : undefined;
  const value = found ?? within(hit.resource, name) ?? within(hit.attributes, name) ?? null;
  return value === null ? null : text(value);
}

/** Most fields of a line that are listed. */
const MOST = 500;

function flatten(prefix: string, value: Json | undefined, into: [string, string][]) {
  if (value === undefined || into.length >= MOST) return;
  if (!isFields(value)) {
    into.push([prefix, text(value)]);
    return;
  }
  for (const [name, inner] of Object.entries(value)) flatten(`${prefix}.${name}`, inner, into);
}

/** All fields of a line with their values, its own first; the body is not among them. */
export function all(hit: Hit): [name: string, value: string][] {
  const found: [string, string][] = [];
  for (const name of OWN) if (hit[name] && name !== "id") found.push([name, hit[name] ?? ""]);
  flatten("attributes", hit.attributes, found);
  flatten("resource", hit.resource, found);
  flatten("scope", hit.scope, found);
  if (isFields(hit.body)) flatten("body", hit.body, found);
  return found;
}

/** Widths of columns in characters, by what the first lines hold. */
export function widths(names: string[], hits: (Hit | undefined)[]): number[] {
  return names.map((name) => {
    let most = Math.min(shortName(name).length, 24) + 3;
    for (const hit of hits) if (hit) most = Math.max(most, field(hit, name)?.length ?? 0);
    return Math.min(most, 32);
  });
}

/** A name without what it belongs to, for the head of a column. */
export function shortName(name: string): string {
  return name.replace(/^(resource|attributes|scope)\./, "");
}
