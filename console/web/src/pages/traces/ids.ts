//! Trace ids, as people paste them.

/** The trace id that a text is, or that a traceparent or an address of a trace holds; null where it is none of these. */
export function traceIdIn(text: string): string | null {
  const found = /^(?:.*\/traces\/|00-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?(?:[/?#].*)?$/i.exec(text.trim());
  return found?.[1]?.toLowerCase() ?? null;
}
