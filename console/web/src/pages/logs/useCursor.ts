//! The line that the keys are at.
import { useEffect, useState } from "preact/hooks";
import { useKey } from "../../lib/keys";
import { w } from "./words";

export interface Cursor {
  current: number;
  setCurrent: (index: number) => void;
}

/** `open` opens a line; `hasOpen`: one is open, and the keys move it. `key`: another list begins at none. */
export function useCursor(key: string, count: number, hasOpen: boolean, open: (index: number) => void, onMove?: () => void): Cursor {
  const [current, setCurrent] = useState(-1);
  useEffect(() => setCurrent(-1), [key]);
  const move = (by: number) => {
    if (!count) return;
    onMove?.();
    const next = Math.max(0, Math.min(count - 1, current + by));
    setCurrent(next);
    if (hasOpen) open(next);
  };
  useKey("j", w.key_next, () => move(1));
  useKey("k", w.key_previous, () => move(-1));
  useKey("Enter", w.key_open, () => current >= 0 && open(current));
  return { current, setCurrent };
}
