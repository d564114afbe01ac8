//! Nodes with their means over time.
import { percent } from "../../lib/format";
import { here } from "../../lib/url";
import { Badge, Sparkline } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { isMeasured, type Node } from "./fleet";
import { dash } from "./show";
import { w } from "./words";

export interface NodeTableProps {
  nodes: Node[];
  trends: Map<string, (number | null)[]>;
  hasGpus: boolean;
}

function sumOf(node: Node, value: (gpu: Node["gpus"][number]) => number | null): number | null {
  const known = node.gpus.map(value).filter((one): one is number => one !== null);
  return known.length ? known.reduce((sum, one) => sum + one, 0) : null;
}

export function meanUtilization(node: Node): number | null {
  const measured = node.gpus.filter((gpu) => gpu.utilization !== null).length;
  const sum = sumOf(node, (gpu) => gpu.utilization);
  return sum === null ? null : sum / measured;
}

function memoryOf(node: Node): number | null {
  const [used, limit] = [sumOf(node, (gpu) => gpu.used), sumOf(node, (gpu) => gpu.limit)];
  return used === null || !limit ? null : used / limit;
}

function hottest(node: Node): number | null {
  const known = node.gpus.map((gpu) => gpu.temperature).filter((one): one is number => one !== null);
  return known.length ? Math.max(...known) : null;
}

const part = (value: number | null) => (
  <span class={value !== null && value > 0.95 ? "tone-bad" : value !== null && value > 0.85 ? "tone-warn" : ""}>{dash(value, (value) => percent(value, 0))}</span>
);

/** `780 W`, `12.5 kW`, `1.6 MW` */
export function watts(value: number): string {
  if (value < 1e4) return `${Math.round(value)} W`;
  return value < 1e6 ? `${Number((value / 1e3).toFixed(value < 1e5 ? 1 : 0))} kW` : `${Number((value / 1e6).toFixed(2))} MW`;
}

export function NodeTable({ nodes, trends, hasGpus }: NodeTableProps) {
  const gpu: Column<Node>[] = [
    { key: "gpus", head: w.gpus(), align: "right", cell: (node) => node.gpus.length, sort: (node) => node.gpus.length },
    {
      key: "utilization",
      head: w.utilization(),
      align: "right",
      cell: (node) => (
        <span class="gp-trend">
          <Sparkline values={trends.get(node.name) ?? []} label={w.utilization()} width={80} most={1} />
          <b>{dash(meanUtilization(node), (value) => percent(value, 0))}</b>
        </span>
      ),
      sort: meanUtilization,
    },
    { key: "memory", head: w.memory(), align: "right", cell: (node) => dash(memoryOf(node), (value) => percent(value, 0)), sort: memoryOf },
    { key: "hottest", head: w.hottest(), align: "right", cell: (node) => dash(hottest(node), (value) => `${Math.round(value)} °C`), sort: hottest, wide: true },
    { key: "power", head: w.power(), align: "right", cell: (node) => dash(sumOf(node, (gpu) => gpu.power), watts), sort: (node) => sumOf(node, (gpu) => gpu.power), wide: true },
    {
      key: "state",
      head: w.state(),
      cell: (node) => {
        const [failed, idle] = [node.gpus.filter((gpu) => gpu.failed.length).length, node.gpus.filter((gpu) => gpu.idle).length];
        return (
          <span class="gp-badges">
            {failed > 0 && <Badge tone="bad">{w.n_failed({ n: failed })}</Badge>}
            {idle > 0 && <Badge tone="warn" title={w.idle_about()}>{w.n_idle({ n: idle })}</Badge>}
            {!failed && !idle && node.gpus.some(isMeasured) && <Badge tone="ok">{w.ok()}</Badge>}
          </span>
        );
      },
      sort: (node) => node.gpus.filter((gpu) => gpu.failed.length).length * 1000 + node.gpus.filter((gpu) => gpu.idle).length,
    },
    { key: "pods", head: w.pods(), align: "right", cell: (node) => node.pods, sort: (node) => node.pods, wide: true },
    { key: "tenants", head: w.tenants(), cell: ({ tenants }) => <span title={tenants.join(", ").slice(0, 1000)}>{tenants.join(", ").slice(0, 60)}</span>, wide: true },
  ];
  const columns: Column<Node>[] = [
    { key: "node", head: w.node(), cell: (node) => <b>{node.name.slice(0, 120) || "–"}</b>, sort: (node) => node.name },
    ...(hasGpus ? gpu : []),
    { key: "cpu", head: w.cpu(), align: "right", cell: ({ host }) => part(host.cpu), sort: ({ host }) => host.cpu },
    { key: "hostmem", head: w.host_memory(), align: "right", cell: ({ host }) => part(host.memory), sort: ({ host }) => host.memory },
    { key: "disk", head: w.disk(), align: "right", cell: ({ host }) => part(host.disk), sort: ({ host }) => host.disk, wide: true },
  ];
  const tone = (node: Node) => (node.gpus.some((gpu) => gpu.failed.length) ? "bad" : node.gpus.some((gpu) => gpu.idle) ? "warn" : undefined);
  return <Table label={w.nodes()} columns={columns} rows={nodes} keyOf={(node) => node.name} href={(node) => here({ node: node.name, gpu: null })} sort="node" tone={tone} />;
}
