//! One node: its GPUs, what runs on it, and the machine itself.
import { bytes, percent, short } from "../../lib/format";
import { term } from "../../lib/lucene";
import { here, href } from "../../lib/url";
import { Panel, Stat } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import type { Gpu, Node } from "./fleet";
import { PointsChart, type Line } from "./PointsChart";
import { GpuBadges } from "./State";
import { WorkloadTable } from "./WorkloadTable";
import { dash, percents } from "./show";
import { w } from "./words";

const rate = (value: number) => `${bytes(value)}/s`;

export function NodeView({ node }: { node: Node }) {
  const { host, gpus } = node;
  const tone = (value: number | null) => (value !== null && value > 0.95 ? "bad" : undefined);
  return (
    <>
      <div class="stats">
        <Stat label={w.cpu()} value={dash(host.cpu, percents)} tone={tone(host.cpu)} note={host.cores === null ? undefined : w.cores({ n: host.cores })} />
        <Stat label={w.host_memory()} value={dash(host.memory, percents)} tone={tone(host.memory)} note={dash(host.memoryLimit, bytes)} />
        <Stat label={w.disk()} value={dash(host.disk, percents)} tone={tone(host.disk)} />
        <Stat label={w.network()} value={dash(host.receive, rate)} note={`${w.sent()} ${dash(host.transmit, rate)}`} />
        {gpus.length > 0 && <Stat label={w.gpus()} value={gpus.length} note={gpus[0]?.model} />}
        <Stat label={w.pods()} value={node.pods} note={node.tenants.join(", ").slice(0, 60)} />
      </div>
      <nav class="row" aria-label={w.node()}>
        <a class="btn" href={href("/alerts", { q: `host_name=${node.name}` })}>
          {w.alerts()}
        </a>
        <a class="btn" href={href("/logs", { query: term("host.name", node.name) })}>
          {w.logs()}
        </a>
      </nav>
      {gpus.length ? (
        <Panel title={w.gpus_of()} class="panel-flush">
          <Table label={w.gpus_of()} columns={columns()} rows={gpus} keyOf={(gpu) => gpu.id} href={(gpu) => here({ gpu: gpu.id, node: node.name })} tone={(gpu) => (gpu.failed.length ? "bad" : gpu.idle ? "warn" : undefined)} />
        </Panel>
      ) : (
        <p class="gp-note">{w.no_gpu_node()}</p>
      )}
      <WorkloadTable node={node} />
      <HostCharts node={node.name} />
    </>
  );
}

function columns(): Column<Gpu>[] {
  return [
    { key: "name", head: w.gpu(), cell: (gpu) => <b>{gpu.name.slice(0, 60)}</b>, sort: (gpu) => gpu.name },
    { key: "model", head: w.model(), cell: (gpu) => <span title={gpu.id}>{gpu.model.replace(/^NVIDIA /, "").slice(0, 80)}{gpu.migs.length > 0 && ` · ${w.migs({ n: gpu.migs.length })}`}</span>, wide: true },
    { key: "state", head: w.state(), cell: (gpu) => <GpuBadges gpu={gpu} /> },
    { key: "utilization", head: w.utilization(), align: "right", cell: (gpu) => dash(gpu.utilization, percents), sort: (gpu) => gpu.utilization },
    { key: "memory", head: w.memory(), align: "right", cell: ({ used, limit }) => (used !== null && limit ? `${percent(used / limit, 0)} · ${bytes(used)}` : "–"), sort: (gpu) => gpu.used },
    { key: "temperature", head: w.temperature(), align: "right", cell: (gpu) => dash(gpu.temperature, (value) => `${Math.round(value)} °C`), sort: (gpu) => gpu.temperature, wide: true },
    { key: "power", head: w.power(), align: "right", cell: (gpu) => dash(gpu.power, (value) => `${Math.round(value)} W`), sort: (gpu) => gpu.power, wide: true },
    { key: "pods", head: w.pods(), cell: podsOf, wide: true },
  ];
}

/** Pods with whose they are. */
function podsOf({ uses }: Gpu) {
  const pods = [...new Map(uses.map((use) => [`${use.namespace}/${use.pod}`, use])).values()];
  return (
    <span title={pods.map((use) => `${use.tenant} ${use.namespace}/${use.pod}`).join(", ").slice(0, 1000)}>
      {pods.slice(0, 3).map((use) => (
        <span key={use.pod}>
          {use.pod.slice(0, 60)} <span class="faint">{use.tenant.slice(0, 40)}</span>{" "}
        </span>
      ))}
      {pods.length > 3 && `+${pods.length - 3}`}
    </span>
  );
}

const MODES = ["user", "system", "iowait", "nice", "softirq", "interrupt", "steal"];

/** Seconds a second of each mode to parts of all processors. */
function parts(lines: Line[]): Line[] {
  const length = lines[0]?.values.length ?? 0;
  const sums = Array.from({ length }, (_, at) => lines.reduce((sum, line) => sum + (line.values[at] ?? 0), 0));
  const known = lines.filter((line) => line.label !== "idle" && line.values.some((value) => value));
  known.sort((a, b) => MODES.indexOf(a.label) - MODES.indexOf(b.label));
  return known.map((line) => ({ ...line, values: line.values.map((value, at) => (value === null || !sums[at] ? null : value / sums[at])) }));
}

export function HostCharts({ node }: { node: string }) {
  const own = term("host.name", node);
  const direction = "network.io.direction";
  const devices = `${own} AND NOT ${term("system.device", "lo")}`;
  return (
    <div class="columns">
      <PointsChart title={w.chart_cpu()} asks={[{ metric: "system.cpu.time", query: own, by: ["cpu.mode"], stat: "rate" }]} name={(labels) => labels["cpu.mode"] ?? null} shape={parts} stacked unit={percents} most={1} sync="node" />
      <PointsChart title={w.chart_host_memory()} asks={[{ metric: "system.memory.usage", query: own, by: ["system.memory.state"] }]} name={(labels) => labels["system.memory.state"] ?? null} shape={(lines) => lines.filter((line) => line.label !== "free")} stacked unit={bytes} sync="node" />
      <PointsChart title={w.chart_disks()} asks={[{ metric: "system.filesystem.utilization", query: own, by: ["system.filesystem.mountpoint"], agg: "max" }]} name={(labels) => labels["system.filesystem.mountpoint"] ?? null} unit={percents} most={1} sync="node" />
      <PointsChart title={w.chart_disk_io()} asks={[{ metric: "system.disk.io", query: own, by: ["disk.io.direction"], stat: "rate" }]} name={(labels) => labels["disk.io.direction"] ?? null} unit={rate} sync="node" />
      <PointsChart title={w.chart_network()} asks={[{ metric: "system.network.io", query: devices, by: [direction], stat: "rate" }]} name={(labels) => (labels[direction] === "transmit" ? w.sent() : w.received())} unit={rate} sync="node" />
      <PointsChart
        title={w.chart_errors()}
        asks={[
          { metric: "system.network.errors", query: devices, by: [direction], stat: "rate" },
          { metric: "system.network.packet.dropped", query: devices, by: [direction], stat: "rate" },
        ]}
        name={({ metric, [direction]: way }) => `${(metric ?? "").split(".").at(-1)} ${way === "transmit" ? w.sent() : w.received()}`}
        unit={(value) => `${short(value)}/s`}
        sync="node"
      />
      <PointsChart title={w.chart_load()} asks={[{ metric: "system.cpu.load_average.1m,system.cpu.load_average.15m", query: own, by: ["host.name"], agg: "max" }]} name={({ metric }) => metric?.split(".").at(-1) ?? null} unit={short} sync="node" />
      <PointsChart title={w.chart_pressure()} asks={[{ metric: "system.pressure.time", query: `${own} AND ${term("pressure.kind", "some")}`, by: ["pressure.resource"], stat: "rate" }]} name={(labels) => labels["pressure.resource"] ?? null} unit={percents} sync="node" />
    </div>
  );
}
