//! All spans of a trace, page after page: the first are shown while the rest comes.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, type Problem } from "../../lib/api";
import { problemOf } from "../../lib/data";
import { now } from "../../lib/time";
import type { Span, SpanPage } from "../../lib/types/traces";
import { param } from "../../lib/url";
import { type Tree, tree } from "./tree";

/** Spans of a page. */
const PAGE = 1000;
/** So many are loaded unasked. */
const MOST = 20_000;

interface State {
  id: string;
  spans: Span[];
  /** Where to go on; null: all are here; undefined: no page came yet. */
  next: string | null | undefined;
  loading: boolean;
  problem?: Problem;
  /** How often all that was asked for had come. */
  rounds: number;
}

export interface Loaded {
  tree: Tree | undefined;
  loading: boolean;
  /** Grows each time that all that was asked for has come. */
  rounds: number;
  /** There are spans that were not loaded. */
  isBounded: boolean;
  problem: Problem | undefined;
  loadRest: () => void;
  reload: () => void;
}

export function useTrace(id: string): Loaded {
  const [state, setState] = useState<State>({ id, spans: [], next: undefined, loading: true, rounds: 0 });
  const [round, setRound] = useState(0);
  const bound = useRef(MOST);
  const from = useRef<{ spans: Span[]; next: string | undefined }>({ spans: [], next: undefined });
  const tenant = param("tenant");
  useEffect(() => {
    const control = new AbortController();
    load(id, from.current, bound.current, control.signal, setState);
    from.current = { spans: [], next: undefined };
    return () => control.abort();
  }, [id, tenant, now.value, round]);
  const spans = state.id === id ? state.spans : [];
  const built = useMemo(() => (spans.length ? tree(spans) : undefined), [spans]);
  const loadRest = () => {
    bound.current = state.spans.length + MOST;
    from.current = { spans: state.spans, next: state.next ?? undefined };
    setRound(round + 1);
  };
  const { loading, next, problem } = state;
  return { tree: built, loading, rounds: state.id === id ? state.rounds : 0, isBounded: !loading && Boolean(next), problem, loadRest, reload: () => setRound(round + 1) };
}

async function load(id: string, from: { spans: Span[]; next: string | undefined }, most: number, signal: AbortSignal, put: (change: (before: State) => State) => void) {
  let { spans, next } = from;
  put((before) => ({ ...(before.id === id ? before : { id, spans: [], next: undefined, rounds: 0 }), loading: true, problem: undefined }));
  try {
    do {
      const page: SpanPage = await get<SpanPage>("/api/v1/traces/{trace_id}", { trace_id: id, limit: PAGE, cursor: next }, signal);
      if (signal.aborted) return;
      spans = [...spans, ...page.spans];
      next = page.next_cursor ?? undefined;
      const isLast = !next || spans.length >= most;
      // Drawing is as much work as there are spans: it is done again when they have doubled. A trace that is loaded
      // again stays as it is until all of it is here.
      const [all, cursor] = [spans, next ?? null];
      put((before) => (isLast || all.length >= before.spans.length * 2 ? { id, spans: all, next: cursor, loading: !isLast, rounds: before.rounds + (isLast ? 1 : 0) } : before));
    } while (next && spans.length < most);
  } catch (error) {
    if (!signal.aborted) put((before) => ({ ...before, loading: false, problem: problemOf(error) }));
  }
}
