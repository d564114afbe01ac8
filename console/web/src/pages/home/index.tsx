//! The overview: is anything wrong, and where to look.
import { get } from "../../lib/api";
import { linesBySeverity } from "../../lib/histogram";
import { useData } from "../../lib/data";
import { ms, percent, short } from "../../lib/format";
import { query, queryRange } from "../../lib/prom";
import { histogram } from "../../lib/severity";
import { SERIES, severityColor } from "../../lib/theme";
import { bounds, clock, range, step } from "../../lib/time";
import type { Alerts as Answer } from "../../lib/types/alerts";
import type { SearchAnswer } from "../../lib/types/logs";
import { href, param } from "../../lib/url";
import { Chart } from "../../ui/Chart";
import { Empty, Panel, Show, Sparkline, Stat } from "../../ui/parts";
import { Table } from "../../ui/Table";
import { Alerts } from "./alerts";
import "./home.css";
import { w } from "./words";

/** Rates are of the last minute. */
const RATE = "1m";

export default function Home() {
  const inputs = [bounds.value, param("tenant")];
  const alerts = useData(inputs, (signal) => get<Answer>("/api/v1/alerts", {}, signal));
  return (
    <div class="page">
      <Show of={alerts}>{({ alerts }) => <Alerts alerts={alerts} />}</Show>
      <Numbers inputs={inputs} pipeline={alerts.data?.pipeline} />
      <div class="columns">
        <Calls inputs={inputs} />
        <Durations inputs={inputs} />
      </div>
      <Lines inputs={inputs} />
      <div class="columns">
        <Slowest inputs={inputs} />
        <Errors inputs={inputs} />
      </div>
    </div>
  );
}

async function value(expr: string, signal: AbortSignal): Promise<number | null> {
  return (await query(expr, { signal }))[0]?.value ?? null;
}

function Numbers({ inputs, pipeline }: { inputs: unknown[]; pipeline: Answer["pipeline"] | undefined }) {
  const { data } = useData(inputs, async (signal) => {
    const rate = `sum(rate(weir_calls_total[${RATE}]))`;
    const [calls, errors, p99, tokens, gpus, busy] = await Promise.all([
      value(rate, signal),
      value(`sum(rate(weir_calls_total{outcome="error"}[${RATE}])) / ${rate}`, signal),
      value(`histogram_quantile(0.99, sum(rate(weir_call_duration_seconds[${RATE}])))`, signal),
      value(`sum(rate(weir_call_tokens_total[${RATE}]))`, signal),
      value("count(hw_gpu_utilization_ratio)", signal),
      value("avg(hw_gpu_utilization_ratio)", signal),
    ]);
    return { calls, errors, p99, tokens, gpus, busy };
  });
  const text = (value: number | null | undefined, as: (value: number) => string) => (value === null || value === undefined ? "–" : as(value));
  const late = pipeline?.state === "late";
  return (
    <div class="stats">
      <Stat label={w.calls()} value={text(data?.calls, short)} href={href("/interfaces")} />
      <Stat label={w.errors()} value={text(data?.errors ?? (data?.calls ? 0 : null), percent)} tone={(data?.errors ?? 0) > 0.05 ? "bad" : undefined} href={href("/interfaces", { sort: "-errors" })} />
      <Stat label={w.p99()} value={text(data?.p99, (value) => ms(value * 1e3))} href={href("/interfaces", { sort: "-p99" })} />
      <Stat label={w.tokens()} value={text(data?.tokens, short)} href={href("/interfaces", { sort: "-tokens" })} />
      <Stat label={w.gpus()} value={text(data?.busy, percent)} note={data?.gpus ? w.gpus_note({ n: data.gpus }) : w.no_gpu()} href={href("/gpus")} />
      <Stat
        label={w.lag()}
        value={pipeline ? (late ? w.late({ length: ms((pipeline.lag_seconds ?? 0) * 1e3) }) : pipeline.state === "healthy" ? w.healthy() : w.no_data()) : "–"}
        tone={late ? "bad" : pipeline?.state === "healthy" ? "ok" : "warn"}
        note={pipeline?.event_time ? clock(pipeline.event_time, 0).slice(11) : undefined}
        href={href("/status")}
      />
    </div>
  );
}

function Calls({ inputs }: { inputs: unknown[] }) {
  const calls = useData(inputs, (signal) => queryRange(`sum by (service) (rate(weir_calls_total[${RATE}]))`, { signal }));
  return (
    <Panel title={w.chart_calls()}>
      <Show of={calls}>
        {({ times, series }) =>
          series.length ? (
            <Chart label={w.chart_calls()} times={times} stacked series={named(series)} sync="home" {...shown()} />
          ) : (
            <Empty>{w.no_calls({ grpc: `${location.hostname}:4317` })}</Empty>
          )
        }
      </Show>
    </Panel>
  );
}

function Durations({ inputs }: { inputs: unknown[] }) {
  const expr = `histogram_quantile(0.99, sum by (service) (rate(weir_call_duration_seconds[${RATE}])))`;
  const p99 = useData(inputs, (signal) => queryRange(expr, { signal }));
  return (
    <Panel title={w.chart_p99()}>
      <Show of={p99}>
        {({ times, series }) => (
          <Chart label={w.chart_p99()} times={times} series={named(series)} unit={(value) => ms(value * 1e3)} sync="home" {...shown()} />
        )}
      </Show>
    </Panel>
  );
}

function Lines({ inputs }: { inputs: unknown[] }) {
  const every = step(range.value, 120);
  const lines = useData(inputs, (signal) =>
    linesBySeverity("", every, signal),
  );
  return (
    <Panel title={w.chart_lines()} actions={<a href={href("/logs")}>{w.open_logs()}</a>}>
      <Show of={lines}>
        {(answer) => {
          const { times, levels } = histogram(answer, range.value.from, range.value.to);
          const series = levels.map(({ level, values }) => ({ label: level || w.no_severity(), color: severityColor(level), values }));
          return (
            <Chart
              label={w.chart_lines()}
              kind="bars"
              height={110}
              times={times}
              series={series}
              sync="home"
              {...shown()}
            />
          );
        }}
      </Show>
    </Panel>
  );
}

interface Slow {
  service: string;
  name: string;
  p99: number;
  calls: number;
  trend: (number | null)[];
}

function Slowest({ inputs }: { inputs: unknown[] }) {
  const slow = useData(inputs, async (signal): Promise<Slow[]> => {
    const by = "sum by (service, interface)";
    const p99 = `histogram_quantile(0.99, ${by} (rate(weir_call_duration_seconds[${RATE}])))`;
    const [top, calls, trends] = await Promise.all([
      query(`topk(8, ${p99})`, { signal }),
      query(`${by} (rate(weir_calls_total[${RATE}]))`, { signal }),
      queryRange(`topk(8, ${p99})`, { signal, every: step(range.value, 48) }),
    ]);
    const key = (labels: Record<string, string>) => JSON.stringify([labels.service, labels.interface]);
    const rates = new Map(calls.map(({ labels, value }) => [key(labels), value]));
    const lines = new Map(trends.series.map(({ labels, values }) => [key(labels), values]));
    return top.map(({ labels, value }) => ({
      service: labels.service ?? "",
      name: labels.interface ?? "",
      p99: value,
      calls: rates.get(key(labels)) ?? 0,
      trend: lines.get(key(labels)) ?? [],
    }));
  });
  return (
    <Panel class="panel-flush" title={w.slowest()} actions={<a href={href("/interfaces", { sort: "-p99" })}>{w.open_interfaces()}</a>}>
      <Show of={slow}>
        {(rows) => (
          <Table
            label={w.slowest()}
            rows={rows}
            sortParam="slow"
            sort="-p99"
            keyOf={(row) => `${row.service}\n${row.name}`}
            href={(row) => href("/interfaces", { service: row.service, interface: row.name })}
            columns={[
              { key: "name", head: w.interface(), cell: (row) => row.name, sort: (row) => row.name },
              { key: "service", head: w.service(), cell: (row) => row.service, sort: (row) => row.service },
              { key: "p99", head: w.p99(), align: "right", cell: (row) => ms(row.p99 * 1e3), sort: (row) => row.p99 },
              { key: "calls", head: w.qps(), align: "right", wide: true, cell: (row) => short(row.calls), sort: (row) => row.calls },
              { key: "trend", head: w.trend(), wide: true, cell: (row) => <Sparkline values={row.trend} label={w.trend()} color="s2" /> },
            ]}
          />
        )}
      </Show>
    </Panel>
  );
}

function Errors({ inputs }: { inputs: unknown[] }) {
  const wanted = "severity:>=warn";
  const errors = useData(inputs, (signal) => get<SearchAnswer>("/api/v1/logs/search", { ...bounds.value, query: wanted, limit: 8 }, signal));
  return (
    <Panel class="panel-flush" title={w.latest_errors()} actions={<a href={href("/logs", { query: wanted })}>{w.open_logs()}</a>}>
      <Show of={errors}>
        {({ hits }) =>
          hits.length ? (
            <ul class="home-lines">
              {hits.map((hit) => (
                <li key={hit.id}>
                  <a href={href("/logs", { query: wanted, line: hit.id, at: hit.timestamp })}>
                    <i class="swatch" style={{ background: `var(--${severityColor(hit.severity)})` }} />
                    <span class="mono faint">{clock(hit.timestamp, 0).slice(11)}</span>
                    <span>{hit.service}</span>
                    <span class="mono grow ellipsis">{(typeof hit.body === "string" ? hit.body : JSON.stringify(hit.body)).slice(0, 300)}</span>
                  </a>
                </li>
              ))}
            </ul>
          ) : (
            <Empty>{w.no_errors()}</Empty>
          )
        }
      </Show>
    </Panel>
  );
}

function named(series: { labels: Record<string, string>; values: (number | null)[] }[]) {
  const sorted = [...series].sort((a, b) => (a.labels.service ?? "").localeCompare(b.labels.service ?? ""));
  return sorted.slice(0, SERIES.length).map(({ labels, values }, at) => ({
    label: labels.service || "–",
    color: SERIES[at] ?? "s1",
    values,
  }));
}

function shown() {
  const { from, to } = range.value;
  return { from: from / 1e3, to: to / 1e3 };
}
