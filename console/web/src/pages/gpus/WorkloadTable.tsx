//! Containers of a node: what they are allowed, and what they use.
import { useMemo } from "preact/hooks";
import { useData } from "../../lib/data";
import { bytes, percent, short } from "../../lib/format";
import { term } from "../../lib/lucene";
import { query } from "../../lib/prom";
import { asked, now, isLive, range } from "../../lib/time";
import { href, param } from "../../lib/url";
import { Badge, Empty, Panel } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import type { Node, Samples } from "./fleet";
import { workloadQueries } from "./queries";
import { workloads, type Allowed, type Workload } from "./workloads";
import { w } from "./words";

export function WorkloadTable({ node }: { node: Node }) {
  const samples = useData<Samples>(["workloads", node.name, asked.value.end, now.value, param("tenant")], async (signal) => {
    const time = isLive.value ? undefined : Math.floor(range.value.to / 1e3);
    const queries = Object.entries(workloadQueries(node.name));
    return Object.fromEntries(await Promise.all(queries.map(async ([name, expr]) => [name, await query(expr, { time, signal })] as const)));
  });
  const all = useMemo(() => workloads(samples.data ?? {}, node.gpus), [samples.data, node]);
  if (!all.length && samples.loading) return null;
  return (
    <Panel title={all.length ? `${w.workloads()} · ${all.length}` : w.workloads()} class="panel-flush">
      <Table label={w.workloads()} columns={columns()} rows={all} keyOf={(one) => one.key} sortParam="by" empty={<Empty>{w.workloads_none()}</Empty>} />
    </Panel>
  );
}

function allowed({ used, request, limit }: Allowed, text: (value: number) => string) {
  const one = (value: number | null) => (value === null ? "–" : text(value));
  const isOver = used !== null && limit !== null && used > 0.9 * limit;
  return (
    <>
      <span class={isOver ? "tone-warn" : ""}>{one(used)}</span> <span class="faint">/ {one(request)} / {one(limit)}</span>
    </>
  );
}

function columns(): Column<Workload>[] {
  return [
    {
      key: "pod",
      head: w.pod(),
      cell: ({ tenant, namespace, pod, container }) => (
        <a href={href("/logs", { tenant, query: `${term("k8s.namespace.name", namespace)} AND ${term("k8s.pod.name", pod)}` })} title={w.pod_logs()}>
          {`${namespace}/${pod}`.slice(0, 160)} <span class="faint">{container.slice(0, 60)}</span>
        </a>
      ),
      sort: (one) => one.key,
    },
    { key: "tenant", head: w.tenant(), cell: ({ tenant }) => tenant.slice(0, 80), sort: ({ tenant }) => tenant },
    { key: "phase", head: w.phase(), cell: ({ phase }) => phase && <Badge tone={phase === "Running" ? "ok" : phase === "Failed" ? "bad" : "warn"}>{phase}</Badge>, sort: ({ phase }) => phase, wide: true },
    { key: "cpu", head: w.cpu_use(), align: "right", cell: ({ cpu }) => allowed(cpu, short), sort: ({ cpu }) => cpu.used ?? cpu.request, wide: true },
    { key: "memory", head: w.memory_use(), align: "right", cell: ({ memory }) => allowed(memory, bytes), sort: ({ memory }) => memory.used ?? memory.request, wide: true },
    { key: "gpus", head: w.gpu_count(), align: "right", cell: ({ gpus }) => gpus ?? "–", sort: ({ gpus }) => gpus, wide: true },
    { key: "on", head: w.on(), cell: ({ on }) => on.join(", ").slice(0, 80) },
    { key: "gpumem", head: w.memory(), align: "right", cell: ({ gpuMemory }) => (gpuMemory ? bytes(gpuMemory) : "–"), sort: ({ gpuMemory }) => gpuMemory },
    { key: "gputime", head: w.gpu_time(), align: "right", cell: ({ gpuTime }) => (gpuTime === null ? "–" : percent(gpuTime, 0)), sort: ({ gpuTime }) => gpuTime },
  ];
}
