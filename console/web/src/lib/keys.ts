//! Keys of the page: what each does is listed by `?`.
import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Text } from "./words";

interface Binding {
  about: Text;
  run: (event: KeyboardEvent) => void;
}

/** By key, or by two keys one after the other: `g l`. The latest binding of a key is in force. */
const bindings = new Map<string, Binding[]>();

/** Counts changes, for the list of keys. */
export const changed = signal(0);

let before = "";
let beforeAt = 0;

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Whether the focused element itself does something on Enter and space. */
function acts(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("a[href], button, summary") !== null;
}

export function listenToKeys() {
  addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target) && event.key !== "Escape") return;
    if ((event.key === "Enter" || event.key === " ") && acts(event.target)) return;
    // A dialog is modal: the page behind it takes no keys.
    if (document.querySelector("dialog[open]")) return;
    const pair = event.timeStamp - beforeAt < 1000 ? `${before} ${event.key}` : "";
    const binding = bindings.get(pair)?.at(-1) ?? bindings.get(event.key)?.at(-1);
    before = event.key;
    beforeAt = event.timeStamp;
    if (!binding) return;
    event.preventDefault();
    binding.run(event);
  });
}

/** What a key does while the component is there. Not while one types, except Escape. */
export function useKey(key: string, about: Text, run: (event: KeyboardEvent) => void) {
  const latest = useRef({ about, run });
  latest.current = { about, run };
  // With the first drawing: a key pressed right then counts.
  useLayoutEffect(() => {
    // Bound once, so that a component that renders often does not change which binding is the latest.
    const binding: Binding = { about: (args) => latest.current.about(args), run: (event) => latest.current.run(event) };
    bindings.set(key, [...(bindings.get(key) ?? []), binding]);
    changed.value += 1;
    return () => {
      bindings.set(key, (bindings.get(key) ?? []).filter((other) => other !== binding));
      changed.value += 1;
    };
  }, [key]);
}

/** Keys and what they do now. */
export function listed(): [key: string, about: string][] {
  void changed.value;
  return [...bindings].flatMap(([key, all]) => {
    const last = all.at(-1);
    return last ? [[key, last.about()] as [string, string]] : [];
  });
}
