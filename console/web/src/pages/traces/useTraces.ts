//! The traces that a search finds: page after page, and beside them the slowest and the failing, which the first pages of
//! a busy platform would not reach.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get, type Problem } from "../../lib/api";
import { type Data, problemOf, useData } from "../../lib/data";
import { bounds } from "../../lib/time";
import type { TracePage, TraceSummary } from "../../lib/types/traces";
import { param } from "../../lib/url";

/** Traces of a page. */
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
  hasMore: boolean;
  loadingMore: boolean;
  moreProblem: Problem | undefined;
  more: () => void;
}

const search = (args: object, signal?: AbortSignal) => get<TracePage>("/api/v1/traces/search", args, signal);

export function useTraces(sort: string, order: string): Found {
  const args = { ...filters(), ...bounds.value, sort, order, limit: PAGE };
  const key = JSON.stringify([args, param("tenant")]);
  const first = useData([key], (signal) => search(args, signal));
  const [rest, setRest] = useState<{ of: TracePage | undefined; traces: TraceSummary[]; next: string | null }>({ of: undefined, traces: [], next: null });
  const [loadingMore, setLoading] = useState(false);
  const [moreProblem, setProblem] = useState<Problem>();
  useEffect(() => setProblem(undefined), [key]);
  const isOfFirst = rest.of !== undefined && rest.of === first.data;
  const next = isOfFirst ? rest.next : (first.data?.next_cursor ?? null);
  const traces = useMemo(() => sorted([...(first.data?.traces ?? []), ...(isOfFirst ? rest.traces : [])], sort, order), [first.data, rest, isOfFirst]);
  const more = async () => {
    if (!next || loadingMore) return;
    setLoading(true);
    try {
      const page = await search({ ...args, cursor: next });
      const before = isOfFirst ? rest.traces : [];
      setRest({ of: first.data, traces: [...before, ...page.traces], next: page.next_cursor });
      setProblem(undefined);
    } catch (error) {
      setProblem(problemOf(error));
    } finally {
      setLoading(false);
    }
  };
  return { first, traces, hasMore: next !== null, loadingMore, moreProblem, more };
}

/** The search orders by the span that passes; traces are shown by their own start and duration. */
function sorted(traces: TraceSummary[], sort: string, order: string): TraceSummary[] {
  const sign = order === "asc" ? 1 : -1;
  const by = sort === "duration" ? (one: TraceSummary) => one.duration_ns : (one: TraceSummary) => new Date(one.start).getTime();
  const keyed = traces.map((one) => [by(one), one] as const);
  return keyed.sort(([a], [b]) => sign * (a - b)).map(([, one]) => one);
}

/** The slowest and the failing traces of the time, for the scatter. */
export function useOutliers(isWanted: boolean): TraceSummary[] {
  const asked = { ...filters(), ...bounds.value, limit: OUTLIERS };
  const { data } = useData(
    [asked, param("tenant"), isWanted],
    isWanted
      ? async (signal) => {
          const failing = asked.status && asked.status !== "error" ? null : search({ ...asked, status: "error" }, signal);
          const pages = await Promise.all([search({ ...asked, sort: "duration" }, signal), failing]);
          return pages.flatMap((page) => page?.traces ?? []);
        }
      : null,
  );
  return data ?? [];
}

/** Each trace once. */
export function merged(...lists: TraceSummary[][]): TraceSummary[] {
  const byId = new Map<string, TraceSummary>();
  for (const trace of lists.flat()) byId.set(trace.trace_id, trace);
  return [...byId.values()];
}
