//! An expression over time with the threshold that it is compared with.
import { useMemo } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { queryRange, type Labels } from "../../lib/prom";
import { SERIES } from "../../lib/theme";
import { now, step } from "../../lib/time";
import type { Rule } from "../../lib/types/alerts";
import { param } from "../../lib/url";
import { Chart, type Mark } from "../../ui/Chart";
import { Empty, Show } from "../../ui/parts";
import { drawn, foremost, furthest, nameOf, only } from "./chart";
import { unitOf } from "./value";
import { w } from "./words";

/** Series are kept in memory for about so long. */
const KEPT = 2 * 36e5;

export interface RuleChartProps {
  rule: Pick<Rule, "expr" | "threshold" | "name"> & { type?: Rule["type"] };
  /** Only the series of an alert with these. */
  labels?: Labels;
  from: number;
  to: number;
  marks?: Mark[];
  height?: number;
}

/** Names of the labels that a rule adds to its alerts. */
async function ownLabels(name: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
  type Answer = { data: { groups: { rules: { labels?: Labels }[] }[] } };
  const answer = await get<Answer>("/prometheus/api/v1/rules", { "rule_name[]": name, exclude_alerts: true }, signal);
  return new Set(answer.data.groups.flatMap((group) => group.rules.flatMap((rule) => Object.keys(rule.labels ?? {}))));
}

export function RuleChart({ rule, labels, from, to, marks, height = 180 }: RuleChartProps) {
  const { threshold } = rule;
  const every = step({ from, to }, 180);
  const inputs = [rule.expr, threshold, labels, Math.round(from / 1e3 / every), Math.round(to / 1e3 / every), param("tenant")];
  const data = useData(inputs, async (signal) => {
    const expr = drawn(rule);
    const asked = labels ? only(expr, labels, await ownLabels(rule.name, signal)) : foremost(expr, threshold?.op);
    return queryRange(asked, { from, to, every, signal });
  });
  const series = useMemo(() => {
    if (!data.data) return [];
    const kept = furthest(data.data, threshold?.op);
    const all = kept.map((one) => one.labels);
    return kept.map(({ labels, values }, at) => ({ label: nameOf(labels, all) || rule.name, color: SERIES[at % SERIES.length] ?? "s1", values }));
  }, [data.data]);
  const unit = unitOf(rule.expr);
  const limit = Number(threshold?.value);
  const thresholds = useMemo(
    () => (threshold && Number.isFinite(limit) ? [{ label: w.threshold({ op: threshold.op, value: unit(limit) }), value: limit }] : []),
    [limit, threshold?.op, w.threshold()],
  );
  return (
    <Show of={data}>
      {(matrix) =>
        series.length ? (
          <>
            <Chart label={w.chart()} times={matrix.times} series={series} thresholds={thresholds} marks={marks} from={from / 1e3} to={to / 1e3} height={height} unit={unit} />
            {!threshold && rule.type !== "recording" && <small class="faint">{w.no_threshold()}</small>}
            {matrix.series.length > series.length && <small class="faint">{w.chart_cut({ n: series.length })}</small>}
          </>
        ) : (
          <Empty>{to < now.value - KEPT ? w.chart_past() : w.chart_empty()}</Empty>
        )
      }
    </Show>
  );
}

/** The stretch that an alert's chart shows: from before it began to now, at least an hour, at most what series are kept for. */
export function stretchOf(beganAt: number, end: number): { from: number; to: number } {
  const hour = 36e5;
  const to = Math.min(end, now.value);
  return { from: Math.max(to - KEPT, Math.min(to - hour, beganAt - 10 * 6e4)), to };
}
