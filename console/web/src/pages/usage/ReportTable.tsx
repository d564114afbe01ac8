//! The rows of a report: a click goes one level deeper.
import { money } from "../../lib/decimal";
import { address } from "../../lib/api";
import { count, ms, percent } from "../../lib/format";
import type { Usage, UsageRow } from "../../lib/types/usage";
import { here, param } from "../../lib/url";
import { Icon } from "../../ui/icons";
import { Panel, Sparkline } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { stepText, type Step } from "./period";
import { byTime, measured, measuresOf, stacks, type Level } from "./report";
import { energy, gpuHours, nameText } from "./show";
import { w } from "./words";

export interface ReportTableProps {
  usage: Usage;
  /** Rows of the same names, cut over time. */
  overTime: UsageRow[];
  /** Starts of the cuts. */
  times: number[];
  level: Level | "time";
  by: Level;
  step: Step;
  zone: string;
}

export function ReportTable({ usage, overTime, times, level, by, step, zone }: ReportTableProps) {
  const measures = measuresOf(usage.totals);
  const measure = measures.find((one) => one === param("of")) ?? measures[0] ?? "calls";
  const nameOf = (row: UsageRow) => row[by] ?? "";
  const trends = new Map(stacks(overTime, times, nameOf, measure, 5000).named.map((stack) => [stack.name, stack.values]));
  const whole = measured(usage.totals, measure);
  const rows = level === "time" ? byTime(overTime) : usage.rows;
  const number = (key: string, head: string, of: (row: UsageRow) => number | null, text: (value: number) => string, wide = false): Column<UsageRow> => ({
    key,
    head,
    align: "right",
    sort: of,
    wide,
    cell: (row) => {
      const value = of(row);
      if (value === null) return <span class="faint">–</span>;
      return value === 0 ? <span class="faint">0</span> : text(value);
    },
  });
  const columns: Column<UsageRow>[] = [
    level === "time"
      ? { key: "time", head: { hour: w.hour, day: w.day, month: w.month_head }[step](), cell: (row) => stepText(Date.parse(row.start), step, zone), sort: (row) => row.start }
      : { key: "name", head: w[by](), cell: (row) => <span title={nameOf(row).slice(0, 4000)}>{nameText(by, row[by])}</span>, sort: nameOf },
  ];
  if (level !== "time" && times.length > 1 && trends.size) {
    const trend = (row: UsageRow) => {
      const name = nameOf(row);
      return <Sparkline values={trends.get(name) ?? []} label={w.trend_of({ measure: w[measure](), name: nameText(by, name) })} />;
    };
    columns.push({ key: "trend", head: w.trend(), cell: trend, wide: true, width: "116px" });
  }
  columns.push(number("calls", w.calls(), (row) => row.calls, count));
  columns.push({
    key: "errors",
    head: w.errors(),
    align: "right",
    sort: (row) => row.errors,
    cell: (row) => (
      <>
        {count(row.errors)} <span class="faint wide-only">{row.calls ? percent(row.errors / row.calls, 1) : ""}</span>
      </>
    ),
  });
  if (usage.totals.input_tokens) columns.push(number("input", w.input_tokens(), (row) => row.input_tokens, count, true));
  if (usage.totals.output_tokens) columns.push(number("output", w.output_tokens(), (row) => row.output_tokens, count, true));
  if (usage.totals.gpu_seconds) columns.push(number("gpu", w.gpu_hours(), (row) => row.gpu_seconds, gpuHours, true));
  if (usage.totals.energy_joules) columns.push(number("energy", w.energy(), (row) => row.energy_joules, energy, true));
  columns.push(number("p50", w.p50(), (row) => row.p50_ms, ms, true), number("p99", w.p99(), (row) => row.p99_ms, ms, true));
  if (usage.totals.currency) {
    columns.push({ key: "amount", head: w.amount(), align: "right", sort: (row) => Number(row.amount ?? -1), cell: (row) => <Amount row={row} share={whole && measure === "amount" ? Number(row.amount ?? 0) / whole : null} /> });
  }
  const isLast = level === "time";
  return (
    <Panel
      class="panel-flush"
      title={w[level]()}
      actions={
        <a class="btn" href={csvAddress(usage, level, step, by, zone)} download="usage.csv" title={w.csv_about()}>
          <Icon name="download" />
          {w.csv()}
        </a>
      }
    >
      <Table
        label={w.report()}
        columns={columns}
        rows={rows}
        keyOf={(row) => `${row.start} ${level === "time" ? "" : nameOf(row)}`}
        href={isLast ? undefined : (row) => here(nameOf(row) ? { [by]: nameOf(row), by: null, sort: null } : {})}
        sort={isLast ? "-time" : `-${measure === "amount" ? "amount" : "calls"}`}
      />
      {usage.next_cursor && <p class="usage-note faint">{w.too_many({ n: count(usage.rows.length) })}</p>}
    </Panel>
  );
}

function Amount({ row, share }: { row: UsageRow; share: number | null }) {
  if (row.amount === null || row.currency === null) return <span class="faint">{w.no_price()}</span>;
  return (
    <span title={`${row.amount} ${row.currency}`}>
      {share !== null && <span class="faint wide-only">{percent(share, 1)} </span>}
      {money(row.amount, row.currency)}
    </span>
  );
}

/** The rows with every column, cut at the same times as those shown. */
function csvAddress(usage: Usage, level: Level | "time", step: Step, by: Level, zone: string): string {
  const { start, end } = usage.totals;
  const asked = { start, end, service: param("service"), interface: param("interface"), tz: zone, format: "csv" };
  return address("/api/v1/usage", { ...asked, step: level === "time" ? step : "total", by: level === "time" ? null : by });
}
