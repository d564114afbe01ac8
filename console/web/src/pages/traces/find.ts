//! Finding spans within a trace by any of their texts.
import type { Span } from "../../lib/types/traces";
import type { Tree } from "./tree";

/** Of each value so much is searched: prompts are long. */
const SEARCHED = 16_384;

const texts = new WeakMap<Span, string>();

function textOf(span: Span): string {
  const known = texts.get(span);
  if (known !== undefined) return known;
  const parts = [span.name, span.service, span.span_id, span.kind, span.status?.message ?? "", span.scope ?? ""];
  for (const attributes of [span.attributes, span.resource, ...(span.events ?? []).map((event) => ({ name: event.name, ...event.attributes }))]) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      parts.push(`${name}=${(text ?? "").slice(0, SEARCHED)}`);
    }
  }
  const text = parts.join("\n").toLowerCase();
  texts.set(span, text);
  return text;
}

/** Nodes that have all words of a text, in the order shown; `error` as a word alone finds failing spans. */
export function find(tree: Tree, text: string): number[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return tree.order.filter((at) => {
    const span = tree.nodes[at]?.span;
    if (!span) return false;
    return words.every((word) => (word === "error" && span.status?.code === "error") || textOf(span).includes(word));
  });
}
