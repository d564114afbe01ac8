//! Tables: sorted by a click on a head, long ones virtual, rows reached by j and k.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useKey } from "../lib/keys";
import { go, param, set } from "../lib/url";
import { useVirtual } from "./Virtual";
import { w } from "./words";

export interface Column<R> {
  key: string;
  head: string;
  cell: (row: R) => ComponentChildren;
  /** What rows are sorted by; a column without it is not sorted. */
  sort?: (row: R) => number | string | null;
  align?: "left" | "right";
  /** Left out on narrow screens. */
  wide?: boolean;
  width?: string;
}

export interface TableProps<R> {
  label: string;
  columns: Column<R>[];
  rows: R[];
  keyOf: (row: R) => string;
  /** Where a row leads; j, k and Enter go there too. */
  href?: (row: R) => string;
  /** Sorted by this column at first; `-` in front is from the greatest. */
  sort?: string;
  /** Name of the parameter that holds the order; tables of one page need their own. */
  sortParam?: string;
  /** Rows that are marked. */
  current?: (row: R) => boolean;
  tone?: (row: R) => "bad" | "warn" | undefined;
  empty?: ComponentChildren;
}

/** Above so many rows only those in sight are in the page. */
const VIRTUAL_FROM = 200;
const ROW_HEIGHT = 33;

function compare(a: number | string | null, b: number | string | null): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}

export function Table<R>(props: TableProps<R>) {
  const { columns, rows, keyOf, href, label, sortParam = "sort" } = props;
  const order = param(sortParam, props.sort ?? "");
  const [name, falls] = order.startsWith("-") ? [order.slice(1), true] : [order, false];
  const by = columns.find((column) => column.key === name)?.sort;
  const sorted = useMemo(() => {
    if (!by) return rows;
    const keyed = rows.map((row) => [by(row), row] as const);
    keyed.sort(([a], [b]) => (falls ? compare(b, a) : compare(a, b)));
    return keyed.map(([, row]) => row);
  }, [rows, order]);
  const [at, setAt] = useState(-1);
  const step = (by: number) => setAt((now) => Math.max(0, Math.min(sorted.length - 1, now + by)));
  const scroller = useRef<HTMLDivElement>(null);
  const isVirtual = sorted.length > VIRTUAL_FROM;
  const virtual = useVirtual(scroller, { count: isVirtual ? sorted.length : 0, estimate: ROW_HEIGHT });
  const items = virtual.getVirtualItems();
  const [first, last] = isVirtual ? [items[0]?.index ?? 0, items.at(-1)?.index ?? -1] : [0, sorted.length - 1];
  useEffect(() => {
    if (at < 0) return;
    if (isVirtual) virtual.scrollToIndex(at);
    else scroller.current?.querySelector(`[data-row="${at}"]`)?.scrollIntoView({ block: "nearest" });
  }, [at]);
  if (!rows.length) return <>{props.empty ?? <div class="empty">{w.nothing()}</div>}</>;
  const head = (column: Column<R>) => {
    const sort = column.key === name ? (falls ? "descending" : "ascending") : undefined;
    const next = column.key === name && falls ? column.key : `-${column.key}`;
    return (
      <th key={column.key} class={cls(column)} style={column.width ? { width: column.width } : {}} aria-sort={sort} scope="col">
        {column.sort ? (
          <button type="button" title={w.sort({ column: column.head })} onClick={() => set({ [sortParam]: next }, true)}>
            {column.head}
            <span aria-hidden="true">{sort === "ascending" ? " ↑" : sort === "descending" ? " ↓" : ""}</span>
          </button>
        ) : (
          column.head
        )}
      </th>
    );
  };
  const body = [];
  for (let index = first; index <= last; index += 1) {
    const row = sorted[index];
    if (row === undefined) break;
    const tone = props.tone?.(row);
    const marked = index === at || props.current?.(row);
    body.push(
      <tr key={keyOf(row)} data-row={index} class={`${tone ? `row-${tone}` : ""} ${marked ? "row-current" : ""} ${href ? "row-link" : ""}`} onClick={href && ((event) => follow(event, href(row)))}>
        {columns.map((column, place) => {
          const cell = column.cell(row);
          return (
            <td key={column.key} class={cls(column)}>
              {place === 0 && href ? <a href={href(row)}>{cell}</a> : cell}
            </td>
          );
        })}
      </tr>,
    );
  }
  const gap = (count: number) => count > 0 && <tr aria-hidden="true" style={{ height: `${count * ROW_HEIGHT}px` }} />;
  const open = () => {
    const row = sorted[at];
    if (row && href) go(href(row));
  };
  return (
    <div ref={scroller} class={`table-box ${isVirtual ? "table-virtual" : ""}`} role="region" aria-label={label} tabIndex={0}>
      {href && <RowKeys step={step} open={open} />}
      <table aria-rowcount={sorted.length}>
        <thead>
          <tr>{columns.map(head)}</tr>
        </thead>
        <tbody>
          {gap(first)}
          {body}
          {isVirtual && gap(sorted.length - 1 - last)}
        </tbody>
      </table>
    </div>
  );
}

/** Keys of a table whose rows lead somewhere: a part of its own, since rows may come to lead nowhere. */
function RowKeys({ step, open }: { step: (by: number) => void; open: () => void }) {
  useKey("j", w.next_row, () => step(1));
  useKey("k", w.previous_row, () => step(-1));
  useKey("Enter", w.open_row, open);
  return null;
}

function cls<R>(column: Column<R>): string {
  return `${column.align === "right" ? "right" : ""} ${column.wide ? "wide-only" : ""}`;
}

/** A click anywhere on a row goes where its link leads, but not one on a control or behind a selection of text. */
function follow(event: MouseEvent, to: string) {
  if ((event.target as Element).closest("a, button, input, select, summary")) return;
  if (getSelection()?.toString()) return;
  go(to);
}
