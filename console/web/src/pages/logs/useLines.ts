//! The lines of a search: pages by cursor, joined to one list.
import { useEffect, useRef, useState } from "preact/hooks";
import { get, type Problem } from "../../lib/api";
import { problemOf } from "../../lib/data";
import type { Gap, Hint, Hit, Json, SearchAnswer } from "../../lib/types/logs";

/** The first page is what a screen holds and a bit, so that it is there at once. */
const FIRST_PAGE = 200;
const PAGE = 1000;

export interface Lines {
  hits: Hit[];
  /** Of the page after the last one; null where there is none. */
  cursor: string | null;
  hints: Hint[];
  gaps: Gap[];
  indexedUntil: string;
  tookMs: number;
}

export interface LinesState {
  lines: Lines | undefined;
  problem: Problem | undefined;
  loading: boolean;
  /** What is shown is of another search, until the first page of this one is there. */
  isReplaced: boolean;
  /** Time went on while lines were being read: what is shown is not the newest. */
  isOld: boolean;
}

export interface Search {
  query: string;
  order: "asc" | "desc";
  tenant: string;
  /** The stretch as it stands in the address, and what it is now. */
  asked: { start: string; end: string };
  bounds: { start: string; end: string };
}

/** Lines of one source have the same resource: it is kept once. */
function sharing(): (hits: Hit[]) => Hit[] {
  const known = new Map<string, Record<string, Json>>();
  return (hits) => {
    for (const hit of hits) {
      const key = JSON.stringify(hit.resource);
      const same = known.get(key);
      if (same) hit.resource = same;
      else if (known.size < 10_000) known.set(key, hit.resource);
    }
    return hits;
  };
}

const NONE: LinesState = { lines: undefined, problem: undefined, loading: true, isReplaced: false, isOld: false };

/** `isHeld`: somebody reads further down, and would lose the place if the lines were loaded again. `search` null: nothing. */
export function useLines(search: Search | null, isHeld: () => boolean) {
  const [state, setState] = useState<LinesState>(NONE);
  const [round, setRound] = useState(0);
  const current = useRef<{ search: Search; control: AbortController; share: (hits: Hit[]) => Hit[] } | null>(null);
  const key = search && JSON.stringify([search.query, search.order, search.tenant, search.asked]);
  const before = useRef({ key, round });
  const load = (cursor: string | null) => {
    const of = current.current;
    if (!of) return;
    const { query, order, bounds } = of.search;
    setState((now) => ({ ...now, loading: true, isReplaced: cursor === null }));
    const asked = get<SearchAnswer>(
      "/api/v1/logs/search",
      { query, order, ...bounds, cursor, limit: cursor ? PAGE : FIRST_PAGE, highlight: query ? "true" : "" },
      of.control.signal,
    );
    asked.then(
      (answer) => {
        if (of.control.signal.aborted) return;
        const hits = of.share(answer.hits);
        setState(({ lines, isOld }) => ({
          lines: {
            hits: cursor && lines ? [...lines.hits, ...hits] : hits,
            cursor: answer.next_cursor,
            hints: cursor && lines ? lines.hints : answer.hints ?? [],
            gaps: answer.gaps ?? [],
            indexedUntil: answer.indexed_until,
            tookMs: answer.took_ms,
          },
          problem: undefined,
          loading: false,
          isReplaced: false,
          // A further page of an old list makes it no newer.
          isOld: cursor !== null && isOld,
        }));
      },
      (error: unknown) => {
        if (of.control.signal.aborted) return;
        setState((now) => ({ ...now, lines: cursor ? now.lines : undefined, problem: problemOf(error), loading: false, isReplaced: false }));
      },
    );
  };
  useEffect(() => {
    if (!search) return;
    const isSame = before.current.key === key && before.current.round === round && current.current !== null;
    before.current = { key, round };
    if (isSame && isHeld()) return setState((now) => ({ ...now, isOld: true }));
    current.current?.control.abort();
    current.current = { search, control: new AbortController(), share: sharing() };
    load(null);
  }, [key, round, search?.bounds.start, search?.bounds.end]);
  useEffect(() => {
    if (search) return;
    current.current?.control.abort();
    current.current = null;
  }, [search === null]);
  useEffect(() => () => current.current?.control.abort(), []);
  return {
    ...state,
    /** Loads the page after the last one. */
    more: () => {
      if (!state.loading && !state.problem && state.lines?.cursor) load(state.lines.cursor);
    },
    /** Loads from the first page on. */
    reload: () => setRound((at) => at + 1),
    retryMore: () => load(state.lines?.cursor ?? null),
  };
}
