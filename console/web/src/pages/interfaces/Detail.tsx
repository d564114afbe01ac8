//! One interface: what it does over time with the limits that alert rules set, and what it was slow or failed for.
import { useMemo } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { ms, percent, short } from "../../lib/format";
import { matchers, type Matrix, queryRange } from "../../lib/prom";
import { bounds, range, step } from "../../lib/time";
import type { Alerts, History, Rules } from "../../lib/types/alerts";
import { here, href, param } from "../../lib/url";
import { Chart, type Threshold } from "../../ui/Chart";
import { Panel, Show, Stat } from "../../ui/parts";
import { Distribution } from "./Distribution";
import { Freshness } from "./Freshness";
import type { Latency } from "./latency";
import { Related } from "./Related";
import { firings, type Limit, limitsOf, type Measure, measuresOf } from "./rules";
import { w } from "./words";

/** Rates are of at least so many seconds. */
const RATE = 60;
/** Changes of alerts that are asked for. */
const CHANGES = 500;
const QUANTILES = [0.5, 0.9, 0.99];

export interface Subject {
  tenant?: string;
  service: string;
  interface: string;
}

export function Detail({ service, name }: { service: string; name: string }) {
  const tenant = param("tenant") || undefined;
  const subject: Subject = { tenant, service, interface: name };
  const inputs = [bounds.value, tenant, service, name];
  const { from, to } = range.value;
  const over = useData(inputs, (signal) => measured(subject, signal));
  const latency = useData(inputs, (signal) => get<Latency>("/api/v1/interfaces/latency", { service, interface: name, ...bounds.value }, signal));
  const rules = useData(inputs, (signal) => get<Rules>("/api/v1/rules", {}, signal));
  const alerts = useData(inputs, async (signal) => {
    const [history, now] = await Promise.all([
      get<History>("/api/v1/alerts/history", { ...bounds.value, filter: `service=${JSON.stringify(service)}`, limit: CHANGES }, signal),
      get<Alerts>("/api/v1/alerts", {}, signal),
    ]);
    return { transitions: history.transitions, alerts: now.alerts };
  });
  const limits = useMemo(() => (rules.data ? limitsOf(rules.data, subject) : []), [rules.data, service, name, tenant]);
  const fired = useMemo(() => (alerts.data ? firings(alerts.data.transitions, alerts.data.alerts, subject, from / 1e3, to / 1e3) : []), [alerts.data, from, to]);
  // An alert is shaded where its measure is drawn; one whose measure is not known, everywhere.
  const bands = useMemo(() => {
    const measures = rules.data ? measuresOf(rules.data) : new Map<string, Measure>();
    return (measure: Measure | null) => fired.filter(({ rule }) => (measures.get(rule) ?? measure) === measure).map(({ from, to }) => ({ from, to, color: "bad" }));
  }, [fired, rules.data]);
  const firedRules = [...new Set(fired.map(({ rule }) => rule))].join(", ");
  const common = (measure: Measure | null) => ({ from: from / 1e3, to: to / 1e3, bands: bands(measure), sync: "interface", height: 168 });
  return (
    <div class="page">
      <header class="if-head">
        <a href={here({ service: null, interface: null })}>{w.all()}</a>
        <h2 class="ellipsis">
          {service.slice(0, 200)} <span>{name.slice(0, 400)}</span>
        </h2>
        <span class="faint">{tenant ? w.of_tenant({ tenant }) : w.all_tenants()}</span>
        <span class="grow" />
        {firedRules && (
          <a class="tone-bad" href={href("/alerts", { q: service })}>
            {w.fired({ rules: firedRules.slice(0, 200) })}
          </a>
        )}
      </header>
      <Freshness />
      <Show of={over}>
        {(over) => (
          <>
            <Numbers over={over} latency={latency.data} length={(to - from) / 1e3} />
            <div class="columns">
              <Panel title={w.chart_calls()} actions={<Limits of={lines(limits, "calls", short)} />}>
                <Chart
                  {...common("calls")}
                  label={w.chart_calls()}
                  stacked
                  times={over.calls.times}
                  series={[
                    { label: w.ok(), color: "s1", values: outcome(over.calls, "ok") },
                    { label: w.error(), color: "bad", values: outcome(over.calls, "error") },
                  ]}
                  thresholds={drawn(lines(limits, "calls", short))}
                />
              </Panel>
              <Panel title={w.chart_duration()} actions={<Limits of={lines(limits, "duration", seconds)} />}>
                <Chart {...common("duration")} label={w.chart_duration()} unit={seconds} times={over.calls.times} series={quantiles(over.durations, over.calls)} thresholds={drawn(lines(limits, "duration", seconds))} />
              </Panel>
              <Panel title={w.chart_errors()} actions={<Limits of={lines(limits, "errors", percent)} />}>
                <Chart {...common("errors")} label={w.chart_errors()} unit={percent} times={over.calls.times} series={[{ label: w.chart_errors(), color: "bad", values: ratio(over.calls) }]} thresholds={drawn(lines(limits, "errors", percent))} />
              </Panel>
              <Panel title={w.chart_tokens()}>
                <Chart
                  {...common(null)}
                  label={w.chart_tokens()}
                  times={over.calls.times}
                  series={over.tokens.series.map(({ labels, values }) => ({ label: labels.direction === "input" ? w.input() : w.output(), color: labels.direction === "input" ? "s3" : "s2", values: aligned(values, over.calls) }))}
                />
              </Panel>
              {hasValues(over.firstToken) && (
                <Panel title={w.chart_first_token()} actions={<Limits of={lines(limits, "first_token", seconds)} />}>
                  <Chart {...common("first_token")} label={w.chart_first_token()} unit={seconds} times={over.calls.times} series={quantiles(over.firstToken, over.calls)} thresholds={drawn(lines(limits, "first_token", seconds))} />
                </Panel>
              )}
              {hasValues(over.perToken) && (
                <Panel title={w.chart_per_token()} actions={<Limits of={lines(limits, "per_token", seconds)} />}>
                  <Chart {...common("per_token")} label={w.chart_per_token()} unit={seconds} times={over.calls.times} series={quantiles(over.perToken, over.calls)} thresholds={drawn(lines(limits, "per_token", seconds))} />
                </Panel>
              )}
            </div>
          </>
        )}
      </Show>
      <Panel title={w.distribution()}>
        <Show of={latency}>{(latency) => <Distribution latency={latency} limits={limits.filter(({ measure }) => measure === "duration").map(({ value }) => value * 1e3)} />}</Show>
      </Panel>
      <Related subject={subject} />
    </div>
  );
}

interface Over {
  calls: Matrix;
  tokens: Matrix;
  /** For each of the quantiles. */
  durations: Matrix[];
  firstToken: Matrix[];
  perToken: Matrix[];
}

async function measured(subject: Subject, signal: AbortSignal): Promise<Over> {
  const of = matchers({ ...subject });
  const window = Math.max(RATE, step(range.value));
  const ask = (expr: string) => queryRange(expr, { signal });
  const quantilesOf = (metric: string) => Promise.all(QUANTILES.map((q) => ask(`histogram_quantile(${q}, sum(rate(${metric}${of}[${window}s])))`)));
  const [calls, tokens, durations, firstToken, perToken] = await Promise.all([
    ask(`sum by (outcome) (rate(weir_calls_total${of}[${window}s]))`),
    ask(`sum by (direction) (rate(weir_call_tokens_total${of}[${window}s]))`),
    quantilesOf("weir_call_duration_seconds"),
    quantilesOf("weir_call_time_to_first_token_seconds"),
    quantilesOf("weir_call_time_per_output_token_seconds"),
  ]);
  return { calls, tokens, durations, firstToken, perToken };
}

const seconds = (value: number) => ms(value * 1e3);

function aligned(values: (number | null)[] | undefined, { times }: Matrix): (number | null)[] {
  return values ?? times.map(() => null);
}

function outcome(calls: Matrix, name: string): (number | null)[] {
  return aligned(calls.series.find(({ labels }) => labels.outcome === name)?.values, calls);
}

function ratio(calls: Matrix): (number | null)[] {
  const [ok, failed] = [outcome(calls, "ok"), outcome(calls, "error")];
  return calls.times.map((_, at) => {
    const all = (ok[at] ?? 0) + (failed[at] ?? 0);
    return all > 0 ? (failed[at] ?? 0) / all : null;
  });
}

function quantiles(list: Matrix[], calls: Matrix) {
  const colors = ["s1", "s3", "s2"];
  const labels = [w.p50(), w.p90(), w.p99()];
  return list.map((matrix, at) => ({ label: labels[at] ?? "", color: colors[at] ?? "s4", values: aligned(matrix.series[0]?.values, calls) }));
}

function hasValues(list: Matrix[]): boolean {
  return list.some(({ series }) => series.some(({ values }) => values.some((value) => value !== null)));
}

/** Rules that are named beside a chart; the chart draws all. */
const NAMED_LIMITS = 3;

/** The thresholds of a chart as texts, which lead to their rules. */
function Limits({ of }: { of: Threshold[] }) {
  return (
    <>
      {of.slice(0, NAMED_LIMITS).map(({ label }) => (
        <a key={label} class="chip if-limit" href={href("/alerts", { tab: "rules", q: label.split(" ")[0] })}>
          {label}
        </a>
      ))}
    </>
  );
}

/** One line alone needs no name on the chart: it stands above it. */
function drawn(lines: Threshold[]): Threshold[] {
  return lines.length > 1 ? lines : lines.map((line) => ({ ...line, label: "" }));
}

function lines(limits: Limit[], measure: Measure, unit: (value: number) => string): Threshold[] {
  return limits
    .filter((limit) => limit.measure === measure)
    .map(({ rule, op, value, quantile }) => ({ value, label: w.threshold({ rule: quantile ? `${rule} P${Number((quantile * 100).toFixed(2))}` : rule, op, value: unit(value) }) }));
}

function Numbers({ over, latency, length }: { over: Over; latency: Latency | undefined; length: number }) {
  const sum = (values: (number | null)[] | undefined) => (values ?? []).reduce<number>((sum, value) => sum + (value ?? 0), 0);
  const [ok, failed] = [sum(outcome(over.calls, "ok")), sum(outcome(over.calls, "error"))];
  const errors = ok + failed > 0 ? failed / (ok + failed) : null;
  const tokens = over.tokens.series.reduce((all, { values }) => all + sum(values), 0) / (over.tokens.times.length || 1);
  const time = (value: number | null | undefined) => (value === null || value === undefined ? "–" : ms(value));
  return (
    <div class="stats">
      <Stat label={w.count()} value={latency ? short(latency.count) : "–"} note={latency ? `${short(latency.count / length)} ${w.calls()}` : undefined} />
      <Stat label={w.p50()} value={time(latency?.p50_ms)} />
      <Stat label={w.p99()} value={time(latency?.p99_ms)} note={`${w.greatest()} ${time(latency?.max_ms)}`} />
      <Stat label={w.errors()} value={errors === null ? "–" : percent(errors, 2)} tone={errors !== null && errors >= 0.05 ? "bad" : errors !== null && errors >= 0.01 ? "warn" : undefined} />
      <Stat label={w.tokens()} value={tokens ? short(tokens) : "–"} />
    </div>
  );
}
