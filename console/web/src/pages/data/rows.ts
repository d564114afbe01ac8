//! Rows of a dataset over time, and rows of a preview as text.
import type { DataFile, SchemaColumn } from "../../lib/types/captures";

/** Rows of files by the time at which they were listed, in `slots` slots of the same length. */
export function rowsOverTime(files: Pick<DataFile, "created" | "rows">[], slots: number): number[] {
  const known = files.map((file) => ({ at: Date.parse(file.created), rows: file.rows })).filter((file) => !Number.isNaN(file.at));
  const all = new Array<number>(slots).fill(0);
  const first = known.reduce((least, file) => Math.min(least, file.at), Number.POSITIVE_INFINITY);
  const last = known.reduce((most, file) => Math.max(most, file.at), 0);
  const width = Math.max(1, last - first);
  for (const { at, rows } of known) {
    const slot = Math.min(slots - 1, Math.floor(((at - first) / width) * slots));
    all[slot] = (all[slot] ?? 0) + rows;
  }
  return all;
}

/** A value of a cell: texts as they are, everything else as JSON. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The cells of a row in the order of the columns, those that weir adds last; what is not there is left out. */
export function cellsOf(row: Record<string, unknown>, schema: SchemaColumn[]): [name: string, text: string][] {
  const places = new Map(schema.map((column, place) => [column.name, place]));
  const rank = (name: string) => (name.startsWith("_") ? 1e6 : 0) + (places.get(name) ?? 1e5);
  const known = Object.entries(row).filter(([name, value]) => value !== null && !(name === "_incomplete" && value === false));
  return known.sort(([a], [b]) => rank(a) - rank(b)).map(([name, value]) => [name, cellText(value)]);
}
