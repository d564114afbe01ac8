//! The traces that a search finds: page after page, and beside them the slowest and the failing, which the first pages of
//! a busy platform would not reach.
import { useMemo, useRef, useState } from "preact/hooks";
import { get, type Problem } from "../../lib/api";
import { type Data, useData } from "../../lib/data";
import { asked, bounds } from "../../lib/time";
import type { TracePage, TraceSummary } from "../../lib/types/traces";
import { param } from "../../lib/url";

/** Traces of the first page, which is to be there at once, and of those behind it. */
const FIRST = 40;
export const PAGE = 500;
/** Slowest traces, and as many failing ones, of the scatter. */
const OUTLIERS = 300;

/** The filters of the address, as the search takes them. */
export const FILTERS = ["service", "interface", "min_duration", "max_duration", "status", "query"] as const;

export function filters(): Record<(typeof FILTERS)[number], string> {
  const pairs = FILTERS.map((name) => [name, param(name)] as const);
  return Object.fromEntries(pairs) as Record<(typeof FILTERS)[number], string>;
}

interface Found {
  first: Data<TracePage>;
  traces: TraceSummary[];
  /** These are of another search, until those of this one are here. */
  isOfOther: boolean;
  hasMore: boolean;
  loadingMore: boolean;
  moreProblem: Problem | undefined;
  more: () => void;
}

const search = (args: object, signal?: AbortSignal) => get<TracePage>("/api/v1/traces/search", args, signal);

export function useTraces(sort: string, order: string): Found {
  // As time moves on, a search that is under way ends first: else one that takes longer than the refresh never would.
  const text = JSON.stringify([filters(), asked.value, sort, order, param("tenant")]);
  const time = useRef({ search: text, bounds: bounds.value, isBusy: false });
  if (time.current.search !== text || !time.current.isBusy) time.current = { search: text, bounds: bounds.value, isBusy: false };
  const args = { ...filters(), ...time.current.bounds, sort, order };
  const key = JSON.stringify([args, param("tenant")]);
  const first = useData([key], (signal) => search({ ...args, limit: FIRST }, signal));
  const [wanted, setWanted] = useState({ key, pages: 1 });
  // The second page comes unasked.
  const pages = wanted.key === key ? wanted.pages : 1;
  const known = useMemo(() => new Map<string, TracePage>(), [key]);
  const from = first.loading ? null : (first.data?.next_cursor ?? null);
  const rest = useData(
    [key, from, pages],
    from === null
      ? null
      : async (signal) => {
          const traces: TraceSummary[] = [];
          let next: string | null = from;
          for (let at = 0; at < pages && next !== null; at += 1) {
            const page: TracePage = known.get(next) ?? (await search({ ...args, limit: PAGE, cursor: next }, signal));
            known.set(next, page);
            traces.push(...page.traces);
            next = page.next_cursor;
          }
          return { from, traces, next };
        },
  );
  const behind = rest.data?.from === from ? rest.data : undefined;
  // What was there stays until all of the new is here: the list does not shrink and grow again.
  const before = useRef<{ text: string; traces: TraceSummary[] }>({ text: "", traces: [] });
  const isPartial = first.loading || (from !== null && !behind && !rest.problem);
  time.current.isBusy = isPartial;
  const traces = useMemo(() => {
    const kept = before.current.text === text && isPartial ? before.current.traces : [];
    return sorted(merged(kept, first.data?.traces ?? [], behind?.traces ?? []), sort, order);
  }, [first.data, behind, isPartial, text]);
  if (!isPartial) before.current = { text, traces };
  return {
    first,
    traces,
    isOfOther: first.loading && before.current.text !== text,
    hasMore: isPartial || (behind ? behind.next !== null : from !== null),
    loadingMore: isPartial || rest.loading,
    moreProblem: rest.problem,
    more: () => (rest.problem ? rest.reload() : setWanted({ key, pages: pages + 1 })),
  };
}

/** The search orders by the span that passes; traces are shown by their own start and duration. */
function sorted(traces: TraceSummary[], sort: string, order: string): TraceSummary[] {
  const sign = order === "asc" ? 1 : -1;
  const by = sort === "duration" ? (one: TraceSummary) => one.duration_ns : (one: TraceSummary) => new Date(one.start).getTime();
  const keyed = traces.map((one) => [by(one), one] as const);
  return keyed.sort(([a], [b]) => sign * (a - b)).map(([, one]) => one);
}

/** The slowest and the failing traces of the time, for the scatter. */
export function useOutliers(isWanted: boolean): { traces: TraceSummary[]; loading: boolean } {
  const args = { ...filters(), ...bounds.value, limit: OUTLIERS };
  const { data, loading } = useData(
    [args, param("tenant"), isWanted],
    isWanted
      ? async (signal) => {
          const failing = args.status && args.status !== "error" ? null : search({ ...args, status: "error" }, signal);
          const pages = await Promise.all([search({ ...args, sort: "duration" }, signal), failing]);
          return pages.flatMap((page) => page?.traces ?? []);
        }
      : null,
  );
  return { traces: data ?? [], loading };
}

/** Each trace once. */
export function merged(...lists: TraceSummary[][]): TraceSummary[] {
  const byId = new Map<string, TraceSummary>();
  for (const trace of lists.flat()) byId.set(trace.trace_id, trace);
  return [...byId.values()];
}
