//! Asks for the measures of all nodes, or of one.
import { useMemo } from "preact/hooks";
import type { Problem } from "../../lib/api";
import { problemOf, useData, type Data } from "../../lib/data";
import { query, queryRange, type Matrix } from "../../lib/prom";
import { asked, isLive, now, range } from "../../lib/time";
import { param } from "../../lib/url";
import { fleet, type Node, type Samples } from "./fleet";
import { gpuQueries, hostQueries, trendQuery, type Scope } from "./queries";

export interface Fleet {
  nodes: Node[];
  /** Measures that could not be had, with the first reason. */
  missing: { names: string[]; problem: Problem } | null;
}

/** Series are kept in memory for about so long; an older end shows nothing. */
const KEPT = 2 * 36e5;

/** Whether the page shows a time of which only indexed points are left. */
export function isPast(): boolean {
  return !isLive.value && range.value.to < now.value - KEPT;
}

export function useFleet(scope: Scope): Data<Fleet> {
  const inputs = [scope, asked.value.end, now.value, param("tenant")];
  return useData(inputs, async (signal) => {
    const time = isLive.value ? undefined : Math.floor(range.value.to / 1e3);
    const queries = Object.entries({ ...gpuQueries(scope), ...hostQueries(scope) });
    const failed: [string, unknown][] = [];
    const answers = await Promise.all(
      queries.map(async ([name, expr]) => {
        try {
          return [name, await query(expr, { time, signal })] as const;
        } catch (error) {
          failed.push([name, error]);
          return [name, []] as const;
        }
      }),
    );
    const [first] = failed;
    if (first && failed.length === queries.length) throw first[1];
    const samples: Samples = Object.fromEntries(answers);
    return { nodes: fleet(samples), missing: first ? { names: failed.map(([name]) => name), problem: problemOf(first[1]) } : null };
  });
}

const POINTS = 40;

/** Utilisation of each node's GPUs over the page's time, as far as series are kept. */
export function useTrends(scope: Scope): Map<string, (number | null)[]> {
  const { from, to } = range.value;
  const start = Math.max(from, to - KEPT);
  const every = Math.max(10, Math.ceil((to - start) / 1e3 / POINTS));
  const data = useData<Matrix>([scope, every, Math.floor(to / 1e3 / every), param("tenant")], (signal) => queryRange(trendQuery(scope), { from: start, to, every, signal }));
  return useMemo(() => new Map(data.data?.series.map(({ labels, values }) => [labels.host_name ?? "", values])), [data.data]);
}
