//! Nodes of a time of which only indexed points are left: their means, and the way to their charts.
import { useMemo } from "preact/hooks";
import { useData } from "../../lib/data";
import { percent } from "../../lib/format";
import { points } from "../../lib/points";
import { asked } from "../../lib/time";
import { here, param } from "../../lib/url";
import { Empty, Panel, Show, Sparkline } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { w } from "./words";

/** Series of one answer at most. */
const MOST = 1000;

interface Row {
  name: string;
  values: (number | null)[];
  mean: number | null;
  most: number | null;
}

export function PastFleet() {
  const data = useData(["past", asked.value, param("tenant")], async (signal) => {
    const of = (metric: string, agg: "avg" | "max") => points({ metric, query: "", by: ["host.name"], agg, limit: MOST }, signal, 60);
    const [machines, gpus] = await Promise.all([of("system.uptime", "max"), of("hw.gpu.utilization", "avg")]);
    return { machines, gpus };
  });
  const rows = useMemo(() => {
    const names = new Map<string, (number | null)[]>();
    for (const { labels } of data.data?.machines.series ?? []) names.set(labels["host.name"] ?? "", []);
    for (const { labels, values } of data.data?.gpus.series ?? []) names.set(labels["host.name"] ?? "", values);
    return [...names].map(([name, values]): Row => {
      const known = values.filter((value): value is number => value !== null);
      return { name, values, mean: known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null, most: known.length ? Math.max(...known) : null };
    });
  }, [data.data]);
  return (
    <Show of={data}>
      {() =>
        rows.length ? (
          <>
            <p class="gp-note">
              {w.past()} {rows.length >= MOST && w.past_many({ n: MOST })}
            </p>
            <Panel title={`${w.nodes()} · ${rows.length}`} class="panel-flush">
              <Table label={w.nodes()} columns={columns()} rows={rows} keyOf={({ name }) => name} href={({ name }) => here({ node: name })} sort="node" />
            </Panel>
          </>
        ) : (
          <Empty>{w.past_none()}</Empty>
        )
      }
    </Show>
  );
}

function columns(): Column<Row>[] {
  const text = (value: number | null) => (value === null ? "–" : percent(value, 0));
  return [
    { key: "node", head: w.node(), cell: ({ name }) => <b>{name.slice(0, 120)}</b>, sort: ({ name }) => name },
    { key: "trend", head: w.utilization(), cell: ({ values }) => <Sparkline values={values} label={w.utilization()} width={180} most={1} /> },
    { key: "mean", head: w.mean(), align: "right", cell: ({ mean }) => text(mean), sort: ({ mean }) => mean },
    { key: "most", head: w.highest(), align: "right", cell: ({ most }) => text(most), sort: ({ most }) => most },
  ];
}
