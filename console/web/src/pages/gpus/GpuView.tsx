//! One GPU: its state, whose it is, and its measures over time with XIDs as marks.
import { useMemo } from "preact/hooks";
import { useData } from "../../lib/data";
import { bytes, percent, short } from "../../lib/format";
import { term } from "../../lib/lucene";
import { points } from "../../lib/points";
import { query, type Labels } from "../../lib/prom";
import { asked, isLive, now } from "../../lib/time";
import { param } from "../../lib/url";
import type { Mark, Threshold } from "../../ui/Chart";
import { Panel, Stat } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import type { Gpu, Mig } from "./fleet";
import { PointsChart, type Line } from "./PointsChart";
import { GpuShares } from "./GpuShares";
import { GpuFaults } from "./State";
import { dash, percents } from "./show";
import { w } from "./words";

type Measured = Pick<Gpu, "id" | "limit" | "powerLimit">;


export function GpuView({ gpu }: { gpu: Gpu }) {
  const { used, limit } = gpu;
  return (
    <>
      <div class="stats">
        <Stat label={w.utilization()} value={dash(gpu.utilization, (value) => percent(value, 0))} />
        <Stat label={w.memory()} value={dash(used, (value) => (limit ? percent(value / limit, 0) : bytes(value)))} note={used === null || limit === null ? undefined : `${bytes(used)} / ${bytes(limit)}`} />
        <Stat label={w.temperature()} value={dash(gpu.temperature, (value) => `${Math.round(value)} °C`)} tone={gpu.temperature !== null && gpu.temperature > 85 ? "bad" : undefined} note={gpu.memoryTemperature === null ? undefined : `${w.sensor_memory()} ${Math.round(gpu.memoryTemperature)} °C`} />
        <Stat label={w.power()} value={dash(gpu.power, (value) => `${Math.round(value)} W`)} note={gpu.powerLimit === null ? undefined : w.limit({ value: `${Math.round(gpu.powerLimit)} W` })} />
      </div>
      <GpuFaults gpu={gpu} />
      <GpuShares gpu={gpu} />
      {gpu.migs.length > 0 && <Instances migs={gpu.migs} />}
      <GpuCharts gpu={gpu} />
    </>
  );
}

function Instances({ migs }: { migs: Mig[] }) {
  const columns: Column<Mig>[] = [
    { key: "id", head: w.gpu(), cell: ({ id }) => <code>{id.slice(0, 80)}</code> },
    { key: "model", head: w.model(), cell: ({ model }) => model.slice(0, 120) },
    { key: "memory", head: w.memory(), align: "right", cell: ({ used, limit }) => `${dash(used, bytes)} / ${dash(limit, bytes)}` },
    { key: "part", head: "", align: "right", cell: ({ used, limit }) => (used !== null && limit ? percent(used / limit, 0) : "–") },
  ];
  return (
    <Panel title={w.migs_of()} class="panel-flush">
      <Table label={w.migs_of()} columns={columns} rows={migs} keyOf={({ id }) => id} sortParam="migs" />
      <p class="faint gp-foot">{w.mig_about()}</p>
    </Panel>
  );
}

/** Temperatures at which the GPU slows down and at which it stops. */
function useTemperatureLimits(gpu: Measured): Threshold[] {
  const limits = useData(["limits", gpu.id, param("tenant")], (signal) => query(`max by (hw_limit_type) (hw_temperature_limit_celsius{hw_id=${JSON.stringify(gpu.id)},hw_sensor_location="gpu"})`, { signal }));
  return useMemo(
    () =>
      (limits.data ?? []).map(({ labels, value }) => {
        const stops = labels.hw_limit_type === "high.critical";
        return { label: `${stops ? w.shutdown() : w.slowdown()} ${value} °C`, value, color: stops ? "bad" : "warn" };
      }),
    [limits.data, w.shutdown()],
  );
}

/** XIDs in the time shown, each at the step in which it came. */
function useXidMarks(id: string): Mark[] {
  const moved = isLive.value ? now.value : 0;
  const xids = useData(["xids", id, asked.value, moved, param("tenant")], (signal) =>
    points({ metric: "weir.gpu.xid.errors", query: term("hw.id", id), by: ["weir.gpu.xid"], stat: "increase" }, signal),
  );
  return useMemo(() => {
    const { data } = xids;
    if (!data) return [];
    return data.series.flatMap(({ labels, values }) =>
      values.flatMap((value, at) => (value ? [{ at: data.times[at] ?? 0, label: w.xid({ xid: labels["weir.gpu.xid"] ?? "" }), color: "bad" }] : [])),
    );
  }, [xids.data, w.xid()]);
}

/** What belongs to no pod is grey, and the pods have the colours that the panel of shares gives them. */
function unowned(lines: Line[]): Line[] {
  const isOwned = ({ label }: Line) => label.includes("/");
  return lines.map((line) => (isOwned(line) ? line : { ...line, color: "sev-none" }));
}

/** Adds what is left of the whole, where the whole is seen. */
function withIdle(lines: Line[]): Line[] {
  if (!lines.some((line) => line.label === w.share_unowned())) return lines;
  const length = lines[0]?.values.length ?? 0;
  const idle = Array.from({ length }, (_, at) => {
    const known = lines.map((line) => line.values[at] ?? null).filter((value): value is number => value !== null);
    return known.length ? Math.max(0, 1 - known.reduce((sum, value) => sum + value, 0)) : null;
  });
  return [...unowned(lines), { label: w.idle_time(), values: idle, color: "raised" }];
}

/** Measures of a GPU over time; of one that is not measured now, its id is enough. */
export function GpuCharts({ gpu }: { gpu: Measured }) {
  const limits = useTemperatureLimits(gpu);
  const marks = useXidMarks(gpu.id);
  const own = term("hw.id", gpu.id);
  const powerLimit = useMemo(() => (gpu.powerLimit === null ? [] : [{ label: w.limit({ value: `${Math.round(gpu.powerLimit)} W` }), value: gpu.powerLimit }]), [gpu.powerLimit, w.limit()]);
  const memoryLimit = useMemo(() => (gpu.limit === null ? [] : [{ label: w.limit({ value: bytes(gpu.limit) }), value: gpu.limit }]), [gpu.limit, w.limit()]);
  const sensor = (labels: Labels) => (labels["hw.sensor_location"] === "memory" ? w.sensor_memory() : w.sensor_gpu());
  const shared = { sync: "gpu", marks };
  return (
    <div class="columns">
      <PointsChart
        title={w.utilization()}
        asks={[{ metric: "hw.gpu.utilization", query: `${own} AND ${term("hw.gpu.task", "general")}`, by: ["hw.id"] }, { metric: "weir.gpu.memory.activity", query: own, by: ["hw.id"] }]}
        name={({ metric }) => (metric === "hw.gpu.utilization" ? w.utilization() : w.memory_activity())}
        unit={percents}
        most={1}
        {...shared}
      />
      <PointsChart
        title={w.chart_time()}
        asks={[
          { metric: "weir.gpu.time", query: own, by: ["k8s.namespace.name", "k8s.pod.name"], stat: "rate" },
          { metric: "weir.gpu.unowned.time", query: own, by: ["hw.id"], stat: "rate" },
        ]}
        name={(labels) => (labels.metric === "weir.gpu.time" ? `${labels["k8s.namespace.name"] ?? ""}/${labels["k8s.pod.name"] ?? ""}` : w.share_unowned())}
        shape={withIdle}
        stacked
        unit={percents}
        most={1}
        {...shared}
      />
      <PointsChart
        title={w.chart_memory()}
        asks={[{ metric: "weir.gpu.memory.usage", query: own, by: ["k8s.namespace.name", "k8s.pod.name"] }, { metric: "hw.gpu.memory.usage", query: own, by: ["hw.id"] }]}
        name={(labels) => (labels.metric === "weir.gpu.memory.usage" ? `${labels["k8s.namespace.name"] ?? ""}/${labels["k8s.pod.name"] ?? ""}` : w.memory())}
        shape={unowned}
        unit={bytes}
        thresholds={memoryLimit}
        {...shared}
      />
      <PointsChart title={w.chart_temperature()} asks={[{ metric: "hw.temperature", query: own, by: ["hw.sensor_location"], stat: "max" }]} name={sensor} unit={(value) => `${Math.round(value)} °C`} thresholds={limits} {...shared} />
      <PointsChart title={w.power()} asks={[{ metric: "hw.power", query: own, by: ["hw.id"] }]} name={() => w.power()} unit={(value) => `${short(value)} W`} thresholds={powerLimit} {...shared} />
      <PointsChart title={w.chart_clocks()} asks={[{ metric: "weir.gpu.clock.frequency", query: own, by: ["weir.gpu.clock"] }]} name={(labels) => labels["weir.gpu.clock"] ?? null} unit={(value) => `${short(value)}Hz`} {...shared} />
      <PointsChart
        title={w.chart_throttled()}
        asks={[{ metric: "weir.gpu.clock.throttled", query: own, by: ["weir.gpu.throttle.reason"] }]}
        name={(labels) => labels["weir.gpu.throttle.reason"] ?? null}
        shape={(lines) => lines.filter((line) => line.label !== "idle" && line.values.some((value) => value))}
        unit={percents}
        most={1}
        {...shared}
      />
    </div>
  );
}
