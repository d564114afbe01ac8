//! Lists that come in pages: the first by itself, more when asked for.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Problem } from "../lib/api";
import { problemOf, useData } from "../lib/data";

export interface Page<R> {
  rows: R[];
  next: string | null;
}

export interface Pages<R> {
  rows: R[] | undefined;
  problem: Problem | undefined;
  loading: boolean;
  /** Loads the first page, and forgets the others. */
  reload: () => void;
  /** Loads what follows; null where nothing does. */
  more: (() => void) | null;
  /** Whether the list stands still, although time has moved on. */
  isOld: boolean;
}

/**
 * Asks for the first page when `inputs` change, and forgets the others then. `moved` is the clock: it loads the first page again
 * until a further one is asked for. `load` takes the times of its rendering: pages of one list are of one stretch.
 */
export function usePages<R>(inputs: unknown[], moved: number, load: (cursor: string | undefined, signal?: AbortSignal) => Promise<Page<R>>): Pages<R> {
  const key = JSON.stringify(inputs);
  const [rest, setRest] = useState<{ key: string; rows: R[]; next: string | null }>();
  const [problem, setProblem] = useState<Problem>();
  const [loading, setLoading] = useState<string>();
  const isLoading = loading === key;
  const known = rest?.key === key ? rest : undefined;
  const asked = useRef({ key, moved, load });
  if (asked.current.key !== key || (!known && !isLoading)) asked.current = { key, moved, load };
  const { moved: at, load: loadOf } = asked.current;
  const first = useData([key, at], (signal) => loadOf(undefined, signal));
  const latest = useRef(key);
  latest.current = key;
  useEffect(() => setProblem(undefined), [key]);
  const next = known ? known.next : (first.data?.next ?? null);
  const more = async () => {
    // The cursor of an older list belongs to no page of this one.
    if (next === null || isLoading || first.loading) return;
    setLoading(key);
    try {
      const page = await loadOf(next);
      if (latest.current === key) setRest({ key, rows: [...(known?.rows ?? []), ...page.rows], next: page.next });
    } catch (error) {
      if (latest.current === key) setProblem(problemOf(error));
    } finally {
      setLoading((of) => (of === key ? undefined : of));
    }
  };
  const reload = () => {
    setRest(undefined);
    setProblem(undefined);
    first.reload();
  };
  const rows = first.data && [...first.data.rows, ...(known?.rows ?? [])];
  return { rows, problem: problem ?? first.problem, loading: isLoading || first.loading, reload, more: next === null ? null : more, isOld: at !== moved };
}
