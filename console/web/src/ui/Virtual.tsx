//! Long lists: what is seen is there, the rest is height.
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualItem,
} from "@tanstack/virtual-core";
import type { ComponentChildren, RefObject } from "preact";
import { useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";

export interface VirtualOptions {
  count: number;
  /** Height of a row that was not measured yet, in pixels. */
  estimate: number;
  overscan?: number;
  /** What a row is known by while rows come before it: the same function while the rows are the same. */
  keyOf?: (index: number) => string | number;
}

/** One function for all lists: with a new one at every rendering all rows would be measured again. */
const byIndex = (index: number) => index;

/** Rows to be shown of a list that scrolls within `scroller`. */
export function useVirtual(scroller: RefObject<HTMLElement | null>, options: VirtualOptions) {
  const [, redraw] = useReducer((at: number) => at + 1, 0);
  const all = {
    count: options.count,
    estimateSize: () => options.estimate,
    overscan: options.overscan ?? 12,
    getItemKey: options.keyOf ?? byIndex,
    getScrollElement: () => scroller.current,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    onChange: () => redraw(0),
  };
  const [virtual] = useState(() => new Virtualizer<HTMLElement, HTMLElement>(all));
  virtual.setOptions({ ...virtual.options, ...all });
  useLayoutEffect(() => virtual._didMount(), []);
  useLayoutEffect(() => virtual._willUpdate());
  return virtual;
}

export interface VirtualListProps extends VirtualOptions {
  class?: string;
  label: string;
  /** Rows differ in height, as where one is open: they are measured. */
  measured?: boolean;
  /** Scrolled into sight when it changes. */
  current?: number;
  onEnd?: () => void;
  /** So many rows before the last one `onEnd` is called. */
  ahead?: number;
  /** Given the element that scrolls. */
  scroller?: RefObject<HTMLDivElement | null>;
  onScroll?: (top: number) => void;
  children: (index: number) => ComponentChildren;
}

/** A list of rows that fills its parent and scrolls. `onEnd` is called when the last rows come into sight. */
export function VirtualList({ children, onEnd, onScroll, current, measured, label, ahead = 0, ...options }: VirtualListProps) {
  const own = useRef<HTMLDivElement>(null);
  const scroller = options.scroller ?? own;
  const virtual = useVirtual(scroller, options);
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  const isAtEnd = options.count > 0 && last >= options.count - 1 - ahead;
  useLayoutEffect(() => {
    if (isAtEnd) onEnd?.();
  }, [isAtEnd, options.count]);
  useLayoutEffect(() => {
    if (current !== undefined && current >= 0) virtual.scrollToIndex(current, { align: "auto" });
  }, [current]);
  const row = (item: VirtualItem) => (
    <div
      key={item.key}
      class="virtual-row"
      data-index={item.index}
      ref={measured ? (element) => virtual.measureElement(element) : undefined}
      style={{ transform: `translateY(${item.start}px)` }}
    >
      {children(item.index)}
    </div>
  );
  return (
    <div
      ref={scroller}
      class={`virtual ${options.class ?? ""}`}
      role="region"
      aria-label={label}
      tabIndex={0}
      onScroll={onScroll && ((event) => onScroll(event.currentTarget.scrollTop))}
    >
      <div class="virtual-all" style={{ height: `${virtual.getTotalSize()}px` }}>
        {items.map(row)}
      </div>
    </div>
  );
}
