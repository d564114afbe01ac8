//! What collectors read, and what waits, over time.
import { bytes } from "../../lib/format";
import { useData } from "../../lib/data";
import { queryRange, type Matrix } from "../../lib/prom";
import { SERIES } from "../../lib/theme";
import { asked, now, range } from "../../lib/time";
import { param } from "../../lib/url";
import { Chart } from "../../ui/Chart";
import { Panel } from "../../ui/parts";
import { w } from "./words";

/** Hosts that have a line of their own. */
const MOST = 7;

const READ = "sum by (host_name) (rate(weir_collector_source_read_bytes_total[1m]))";
const WAITING = "sum by (host_name) (weir_collector_source_waiting_bytes)";

export function Course() {
  const inputs = [asked.value, param("tenant"), now.value];
  const read = useData([...inputs, "read"], (signal) => queryRange(READ, { signal }));
  const waiting = useData([...inputs, "waiting"], (signal) => queryRange(WAITING, { signal }));
  if (!read.data?.series.length) return null;
  return (
    <div class="columns">
      <Lines title={w.throughput()} matrix={read.data} />
      {waiting.data && hasAny(waiting.data) && <Lines title={w.backlog()} matrix={waiting.data} />}
    </div>
  );
}

function hasAny({ series }: Matrix): boolean {
  return series.some(({ values }) => values.some((value) => value !== null && value > 0));
}

function Lines({ title, matrix }: { title: string; matrix: Matrix }) {
  const { from, to } = range.value;
  return (
    <Panel title={title}>
      <Chart
        label={title}
        times={matrix.times}
        series={hosts(matrix).map((one, at) => ({ ...one, color: at < MOST ? (SERIES[at] ?? "s1") : "sev-none" }))}
        unit={bytes}
        from={from / 1e3}
        to={to / 1e3}
        sync="status"
        height={140}
      />
    </Panel>
  );
}

/** The hosts that have most, and the sum of all others. */
function hosts({ series, times }: Matrix): { label: string; values: (number | null)[] }[] {
  const total = (values: (number | null)[]) => values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  const all = series.map(({ labels, values }) => ({ label: labels["host_name"] ?? "", values }));
  if (all.length <= MOST + 1) return all.sort((a, b) => a.label.localeCompare(b.label));
  const ordered = all.sort((a, b) => total(b.values) - total(a.values));
  const rest = ordered.slice(MOST);
  const values = times.map((_, at) => rest.reduce<number>((sum, one) => sum + (one.values[at] ?? 0), 0));
  return [...ordered.slice(0, MOST), { label: w.others(), values }];
}
