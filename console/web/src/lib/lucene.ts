//! Parts of a query in Lucene's grammar: within quotes, a backslash takes what follows as it is. Pure.

function inQuotes(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/** A value as it stands behind a field's colon. */
export function quoted(value: string): string {
  const isPlain = /^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$/u.test(value) && !/^(AND|OR|NOT|IN|TO)$/.test(value);
  return isPlain ? value : inQuotes(value);
}

/** A term of a query: a field has exactly this value. */
export function term(field: string, value: string): string {
  return `${field}:${inQuotes(value)}`;
}
