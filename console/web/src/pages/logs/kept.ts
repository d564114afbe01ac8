//! Searches that are kept in this browser.

export interface SavedSearch {
  name: string;
  /** Parameters of the address. */
  search: string;
}

const SAVED = "weir.logs.saved";
const RECENT = "weir.logs.recent";
const MOST_RECENT = 30;
const MOST_SAVED = 200;

function read(key: string): unknown[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

function write(key: string, values: unknown[]) {
  try {
    localStorage.setItem(key, JSON.stringify(values));
  } catch {
    // Storage that is full or forbidden keeps what it has.
  }
}

function isSaved(value: unknown): value is SavedSearch {
  const one = value as SavedSearch | null;
  return typeof one?.name === "string" && typeof one.search === "string";
}

export function savedSearches(): SavedSearch[] {
  return read(SAVED).filter(isSaved);
}

/** The parameters that make a search: query, columns, order, time, tenant. */
export function essence(params: URLSearchParams): string {
  const kept = new URLSearchParams();
  for (const name of ["query", "columns", "order", "start", "end", "tenant"]) {
    const value = params.get(name);
    if (value) kept.set(name, value);
  }
  return kept.toString();
}

/** Keeps a search, in place of one of the same name. */
export function keep(search: SavedSearch): SavedSearch[] {
  const next = [search, ...savedSearches().filter((one) => one.name !== search.name)].slice(0, MOST_SAVED);
  write(SAVED, next);
  return next;
}

export function forget(name: string): SavedSearch[] {
  const next = savedSearches().filter((one) => one.name !== name);
  write(SAVED, next);
  return next;
}

export function recentQueries(): string[] {
  return read(RECENT).filter((one): one is string => typeof one === "string");
}

export function remember(query: string) {
  if (!query.trim() || query.length > 4000) return;
  write(RECENT, [query, ...recentQueries().filter((one) => one !== query)].slice(0, MOST_RECENT));
}
