//! Cost and calls: totals, over time, and by what is left to split by.
import { money } from "../../lib/decimal";
import { count, percent, short } from "../../lib/format";
import { SERIES } from "../../lib/theme";
import { ago, now, rfc3339, shortClock, type Range } from "../../lib/time";
import type { Usage, UsageRow, Used } from "../../lib/types/usage";
import { useData } from "../../lib/data";
import { here, param, set } from "../../lib/url";
import { Chart } from "../../ui/Chart";
import { Empty, Panel, Show, Stat } from "../../ui/parts";
import { ask, askOverTime, type Question } from "./load";
import { cuts, stepOf, stepText, wholeHours, type Step } from "./period";
import { QuotaPanel } from "./Quotas";
import { LEVELS, levelOf, measuresOf, stacks, type Filters, type Level } from "./report";
import { ReportTable } from "./ReportTable";
import { energy, gpuHours, measureName, measureText, nameText } from "./show";
import { w } from "./words";

/** Usage that is further behind is told as a fault. */
const LATE_MS = 3 * 60e3;

export function Report({ range, filters, zone }: { range: Range; filters: Filters; zone: string }) {
  const level = levelOf(param("by"), filters);
  const by: Level = level === "time" ? (LEVELS.find((one) => !filters[one]) ?? "interface") : level;
  const step = stepOf(range);
  const question: Question = { range, filters, step: "total", by, zone };
  const key = [wholeHours(range), filters, by, zone, step];
  const data = useData([key, level, now.value], async (signal) => {
    const [usage, overTime] = await Promise.all([ask(question, 1, signal), askOverTime({ ...question, step }, signal)]);
    // What was asked goes with its answer: while the next one is under way, the last one is shown as what it is.
    return { usage, overTime, level, by, step, range, tenant: filters.tenant };
  });
  return <Show of={data}>{(answer) => <Answered {...answer} zone={zone} />}</Show>;
}

interface AnswerProps {
  usage: Usage;
  overTime: { usage: Usage; by: Level };
  level: Level | "time";
  by: Level;
  step: Step;
  range: Range;
  tenant: string;
  zone: string;
}

function Answered({ usage, overTime, level, by, step, range, tenant, zone }: AnswerProps) {
  const isWhole = overTime.by === by;
  return (
    <>
      <Complete until={usage.complete_until} range={range} />
      {usage.rows.length === 0 ? (
        <Empty>{w.nothing()}</Empty>
      ) : (
        <>
          <Totals totals={usage.totals} />
          <OverTime usage={overTime.usage} by={overTime.by} level={level} range={range} zone={zone} />
          {!isWhole && <p class="faint">{w.too_many_chart()}</p>}
          <ReportTable usage={usage} overTime={isWhole ? overTime.usage.rows : []} times={cuts(range, step, zone)} level={level} by={by} step={step} zone={zone} />
          {tenant && <QuotaPanel tenants={[tenant]} quiet />}
        </>
      )}
    </>
  );
}

/** Up to when nothing can change any more. */
function Complete({ until, range }: { until: string | null; range: Range }) {
  if (!until) return <p class="tone-warn">{w.complete_none()}</p>;
  const at = Date.parse(until);
  if (at >= range.to) return <p class="faint">{w.complete_all()}</p>;
  const behind = Math.min(range.to, now.value) - at;
  if (behind > LATE_MS) return <p class="tone-warn" role="status">{w.complete_late({ at: shortClock(at), ago: ago(at) })}</p>;
  return <p class="faint">{w.complete({ at: shortClock(at) })}</p>;
}

function Totals({ totals }: { totals: Used }) {
  const { amount, currency, calls, errors } = totals;
  const measures = measuresOf(totals);
  return (
    <div class="stats usage-stats">
      {amount !== null && currency !== null && <Stat label={w.amount()} value={<Amount amount={amount} currency={currency} />} />}
      <Stat label={w.calls()} value={count(calls)} />
      <Stat label={w.error_rate()} value={percent(calls ? errors / calls : 0, 2)} note={`${count(errors)} / ${count(calls)}`} />
      {totals.input_tokens > 0 && <Stat label={w.input_tokens()} value={<Tokens count={totals.input_tokens} />} />}
      {totals.output_tokens > 0 && <Stat label={w.output_tokens()} value={<Tokens count={totals.output_tokens} />} />}
      {measures.includes("gpu_hours") && <Stat label={w.gpu_hours()} value={gpuHours(totals.gpu_seconds)} />}
      {measures.includes("energy") && <Stat label={w.energy()} value={energy(totals.energy_joules)} />}
      {currency === null && <Stat label={w.amount()} value="–" note={w.no_prices()} />}
    </div>
  );
}

function Amount({ amount, currency }: { amount: string; currency: string }) {
  const text = money(amount, currency);
  return (
    <span class={text.length > 12 ? "usage-long" : ""} title={`${amount} ${currency}`}>
      {text}
    </span>
  );
}

/** Exact as long as there is room for it. */
function Tokens({ count: tokens }: { count: number }) {
  return <span title={count(tokens)}>{tokens < 1e8 ? count(tokens) : short(tokens)}</span>;
}

function OverTime({ usage, by, level, range, zone }: { usage: Usage; by: Level; level: Level | "time"; range: Range; zone: string }) {
  const measures = measuresOf(usage.totals);
  const measure = measures.find((one) => one === param("of")) ?? measures[0] ?? "calls";
  const step = stepOf(range);
  const times = cuts(range, step, zone);
  const nameOf = (row: UsageRow) => (level === "time" ? "" : nameText(by, row[by]));
  const { named, others } = stacks(usage.rows, times, nameOf, measure);
  // By name, so that a colour stays whose it is while totals pass each other.
  const names = named.map((stack) => stack.name).sort();
  const series = named.map(({ name, values }) => ({ label: name || w[measure](), color: SERIES[names.indexOf(name) % SERIES.length] ?? "s1", values }));
  const rest = others ? [{ label: w.others({ n: new Set(usage.rows.map(nameOf)).size - named.length }), color: "sev-none", values: others.values }] : [];
  const of = measureName(measure, usage.totals.currency);
  const title = level === "time" ? w.over_time({ measure: of }) : w.by_over_time({ measure: of, level: w[by]().toLowerCase() });
  const end = wholeHours(range).to / 1e3;
  // The year only where nothing else is told.
  const axisText = (at: number) => stepText(at * 1e3, step, zone).slice(step === "month" ? 0 : 5);
  const zoomTo = (index: number) => {
    const from = times[index];
    if (from === undefined || times.length < 2) return;
    set({ start: rfc3339(from * 1e3), end: rfc3339((times[index + 1] ?? end) * 1e3), period: null });
  };
  return (
    <Panel
      title={title}
      actions={
        <nav class="usage-measures" aria-label={w.measure()}>
          {measures.map((one) => (
            <a key={one} class="btn btn-plain" href={here({ of: one })} aria-current={one === measure ? "true" : undefined}>
              {w[one]()}
            </a>
          ))}
        </nav>
      }
    >
      <Chart
        label={title}
        kind="bars"
        height={200}
        times={times}
        series={[...series, ...rest]}
        from={times[0]}
        to={Math.max(end, (times.at(-1) ?? 0) + barSeconds(times))}
        unit={measureText(measure)}
        axisText={axisText}
        onClick={zoomTo}
      />
    </Panel>
  );
}

/** How wide the last bar is: as the others. */
function barSeconds(times: number[]): number {
  const [last, before] = [times.at(-1) ?? 0, times.at(-2)];
  return before === undefined ? 3600 : last - before;
}
