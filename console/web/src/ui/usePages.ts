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
  reload: () => void;
  /** Loads what follows; null where nothing does. */
  more: (() => void) | null;
}

/** Asks for the first page when `inputs` change, and forgets the others then. */
export function usePages<R>(inputs: unknown[], load: (cursor: string | undefined, signal?: AbortSignal) => Promise<Page<R>>): Pages<R> {
  const first = useData(inputs, (signal) => load(undefined, signal));
  const key = JSON.stringify(inputs);
  const [rest, setRest] = useState<{ key: string; rows: R[]; next: string | null }>();
  const [problem, setProblem] = useState<Problem>();
  const [loading, setLoading] = useState(false);
  const latest = useRef(key);
  latest.current = key;
  useEffect(() => setProblem(undefined), [key]);
  const known = rest?.key === key ? rest : undefined;
  const next = known ? known.next : (first.data?.next ?? null);
  const more = async () => {
    if (next === null || loading) return;
    setLoading(true);
    try {
      const page = await load(next);
      if (latest.current === key) setRest({ key, rows: [...(known?.rows ?? []), ...page.rows], next: page.next });
    } catch (error) {
      setProblem(problemOf(error));
    } finally {
      setLoading(false);
    }
  };
  const rows = first.data && [...first.data.rows, ...(known?.rows ?? [])];
  return { rows, problem: problem ?? first.problem, loading: loading || first.loading, reload: first.reload, more: next === null ? null : more };
}
