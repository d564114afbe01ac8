//! The traces that a search finds: page after page, and beside them the slowest and the failing, which the first pages of
//! a busy platform would not reach.
import { useMemo, useState } from "preact/hooks";
import { get, type Problem } from "../../lib/api";
import { type Data, useData } from "../../lib/data";
import { bounds } from "../../lib/time";
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
  hasMore: boolean;
  loadingMore: boolean;
  moreProblem: Problem | undefined;
  more: () => void;
}

const search = (args: object, signal?: AbortSignal) => get<TracePage>("/api/v1/traces/search", args, signal);

export function useTraces(sort: string, order: string): Found {
  const args = { ...filters(), ...bounds.value, sort, order };
  const key = JSON.stringify([args, param("tenant")]);
  const first = useData([key], (signal) => search({ ...args, limit: FIRST }, signal));
  const [asked, setAsked] = useState({ key, pages: 1 });
  // The second page comes unasked.
  const pages = asked.key === key ? asked.pages : 1;
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
  const traces = useMemo(() => sorted(merged(first.data?.traces ?? [], behind?.traces ?? []), sort, order), [first.data, behind]);
  return {
    first,
    traces,
    hasMore: behind ? behind.next !== null : from !== null,
    loadingMore: rest.loading,
    moreProblem: rest.problem,
    more: () => (rest.problem ? rest.reload() : setAsked({ key, pages: pages + 1 })),
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
  const asked = { ...filters(), ...bounds.value, limit: OUTLIERS };
  const { data, loading } = useData(
    [asked, param("tenant"), isWanted],
    isWanted
      ? async (signal) => {
          const failing = asked.status && asked.status !== "error" ? null : search({ ...asked, status: "error" }, signal);
          const pages = await Promise.all([search({ ...asked, sort: "duration" }, signal), failing]);
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
