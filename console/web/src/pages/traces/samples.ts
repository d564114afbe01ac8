//! Samples of GPUs as charts: one for each metric, its series over the same times.
import type { GpuSamples } from "../../lib/types/traces";

export interface GpuChart {
  metric: string;
  unit: string;
  /** Of a counter: its growth a second. */
  isRate: boolean;
  /** Seconds from the start of the trace, ascending. */
  times: number[];
  series: { label: string; values: (number | null)[] }[];
}

/** Charts in this order first. */
const FIRST = ["hw.gpu.utilization", "weir.gpu.time", "hw.gpu.memory.utilization", "weir.gpu.memory.usage", "hw.gpu.memory.usage", "hw.power", "hw.temperature"];
/** Sums that go down too are no counters. */
const LEVELS = /(usage|utilization|limit|temperature|power|count)$/;
/** A value holds for so many times the usual distance of samples. */
const HOLDS = 2.5;
/** Charts and series of one that are shown. */
const MOST_CHARTS = 12;
const MOST_SERIES = 8;

const text = (value: unknown) => (typeof value === "string" ? value : "");

function label({ attributes, resource }: GpuSamples): string {
  const pod = text(resource["k8s.pod.name"]) || text(resource["container.id"]).slice(0, 12);
  const gpu = text(attributes["hw.id"]) || text(attributes["hw.name"]);
  const other = Object.entries(attributes).filter(([name]) => !/^hw\.(id|type|name|vendor|model|parent|serial_number|driver_version|firmware_version)$/.test(name));
  return [pod || text(resource["k8s.node.name"]) || text(resource["host.name"]), gpu, ...other.map(([, value]) => String(value))].filter(Boolean).join(" · ");
}

type Point = [at: number, value: number];

function pointsOf({ points }: GpuSamples, begin: number): Point[] {
  const found = points.map(([time, value]): Point => [new Date(time).getTime() / 1e3 - begin, value ?? Number.NaN]);
  return found.filter(([at, value]) => Number.isFinite(at) && Number.isFinite(value)).sort(([a], [b]) => a - b);
}

/** Growth a second; a counter that starts again gives no value. */
function rates(points: Point[]): Point[] {
  return points.flatMap(([at, value], index): Point[] => {
    const before = points[index - 1];
    return before && at > before[0] && value >= before[1] ? [[at, (value - before[1]) / (at - before[0])]] : [];
  });
}

/** The values of a series at other times: each holds until the next, unless that is long in coming. */
function held(points: Point[], times: number[]): (number | null)[] {
  const distances = points.slice(1).map(([at], index) => at - (points[index]?.[0] ?? at)).sort((a, b) => a - b);
  const holds = (distances[distances.length >> 1] ?? 0) * HOLDS;
  let next = 0;
  return times.map((time) => {
    while (next < points.length && (points[next]?.[0] ?? 0) <= time) next += 1;
    const last = points[next - 1];
    return last && time - last[0] <= holds ? last[1] : null;
  });
}

/** `begin` is the start of the trace, in unix seconds. */
export function gpuCharts(samples: GpuSamples[], begin: number): GpuChart[] {
  const byMetric = new Map<string, GpuSamples[]>();
  for (const one of samples) byMetric.set(one.metric, [...(byMetric.get(one.metric) ?? []), one]);
  const rank = (metric: string) => (FIRST.includes(metric) ? FIRST.indexOf(metric) : FIRST.length);
  const metrics = [...byMetric.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const charts = metrics.map((metric): GpuChart => {
    const list = (byMetric.get(metric) ?? []).slice(0, MOST_SERIES);
    const isRate = list.every((one) => one.type === "sum") && !LEVELS.test(metric);
    const series = list.map((one) => ({ label: label(one), points: isRate ? rates(pointsOf(one, begin)) : pointsOf(one, begin) }));
    const times = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
    return { metric, unit: list[0]?.unit ?? "", isRate, times, series: series.map(({ label, points }) => ({ label, values: held(points, times) })) };
  });
  return charts.filter(({ times }) => times.length > 1).slice(0, MOST_CHARTS);
}
