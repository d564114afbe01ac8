//! All interfaces in one table; one query for each measure, however many rows there are.
import { useMemo } from "preact/hooks";
import { useData } from "../../lib/data";
import { count, ms, percent, short } from "../../lib/format";
import { query, queryRange } from "../../lib/prom";
import { bounds, isLive, range, step } from "../../lib/time";
import { here, param, set } from "../../lib/url";
import { Empty, Show, Sparkline } from "../../ui/parts";
import { type Column, Table } from "../../ui/Table";
import { Freshness } from "./Freshness";
import { GROUPS, type Group, matching, readGroups, type Row, rows } from "./rows";
import { w } from "./words";

/** Averages are of at most so many seconds: series are kept for hours. */
const LONGEST = 3600;
/** Points of a small chart. */
const POINTS = 32;

export function List() {
  const groups = readGroups(param("by"));
  const { from, to } = range.value;
  const length = Math.min(LONGEST, Math.max(10, Math.round((to - from) / 1e3)));
  const inputs = [bounds.value, param("tenant"), groups];
  const measures = useData(inputs, async (signal) => {
    const by = groups.join(",");
    const now = (expr: string) => query(expr, { signal, time: isLive.value ? undefined : to / 1e3 });
    const quantile = (q: number) => now(`histogram_quantile(${q}, sum by (${by}) (rate(weir_call_duration_seconds[${length}s])))`);
    const [calls, p50, p99, tokens] = await Promise.all([
      now(`sum by (${by},outcome) (rate(weir_calls_total[${length}s]))`),
      quantile(0.5),
      quantile(0.99),
      now(`sum by (${by},direction) (rate(weir_call_tokens_total[${length}s]))`),
    ]);
    return { calls, p50, p99, tokens };
  });
  // Small charts come after the numbers.
  const over = useData(
    [...inputs, measures.data !== undefined],
    measures.data === undefined
      ? null
      : async (signal) => {
        const by = groups.join(",");
        const every = step({ from, to }, POINTS);
        const window = Math.max(every, 15);
        const [callsOver, p99Over] = await Promise.all([
          queryRange(`sum by (${by}) (rate(weir_calls_total[${window}s]))`, { signal, every }),
          queryRange(`histogram_quantile(0.99, sum by (${by}) (rate(weir_call_duration_seconds[${window}s])))`, { signal, every }),
        ]);
        return { callsOver, p99Over };
      },
  );
  const all = useMemo(() => (measures.data ? rows({ ...measures.data, ...over.data }) : []), [measures.data, over.data]);
  const text = param("q");
  const found = useMemo(() => matching(all, text), [all, text]);
  return (
    <>
      <div class="row">
        <input class="input if-filter" type="search" data-query placeholder={w.filter()} aria-label={w.filter()} value={text} spellcheck={false} onInput={(event) => set({ q: event.currentTarget.value }, true)} />
        <div class="row" role="group" aria-label={w.by()}>
          {GROUPS.map((group) => (
            <button key={group} class="btn" type="button" aria-pressed={groups.includes(group)} onClick={() => toggle(groups, group)}>
              {w[group]()}
            </button>
          ))}
        </div>
        <span class="grow" />
        <span class="faint">
          {w.averages({ n: ms(length * 1e3).replace(/ 0 (s|min)$/, "") })} · {text ? w.filtered({ n: count(found.length), all: count(all.length) }) : w.counted({ n: count(all.length) })}
        </span>
      </div>
      <Freshness />
      <Show of={measures}>
        {() => (
          <section class="panel if-list">
            <Table
              label={w.list()}
              columns={columns(groups)}
              rows={found}
              keyOf={(row) => row.key}
              href={(row) => addressOf(row, groups)}
              sort="-calls"
              tone={(row) => ((row.errors ?? 0) >= 0.05 ? "bad" : undefined)}
              empty={
                text ? (
                  <Empty action={<a class="btn" href={here({ q: null })}>{w.clear()}</a>}>{w.none_match()}</Empty>
                ) : (
                  <Empty>
                    {w.none()} {w.none_hint()}
                  </Empty>
                )
              }
            />
          </section>
        )}
      </Show>
    </>
  );
}

function toggle(groups: Group[], group: Group) {
  const next = groups.includes(group) ? groups.filter((one) => one !== group) : [...groups, group];
  const isAll = next.length === 0 || next.length === GROUPS.length;
  set({ by: isAll ? null : GROUPS.filter((one) => next.includes(one)).join(",") });
}

/** An interface opens; a tenant or a service shows what it has. */
function addressOf(row: Row, groups: Group[]): string {
  if (groups.includes("service") && groups.includes("interface")) return here({ service: row.service, interface: row.interface, tenant: row.tenant || param("tenant"), q: null, sort: null });
  if (groups.includes("service")) return here({ by: null, q: row.service, tenant: row.tenant || param("tenant") });
  if (groups.includes("interface")) return here({ by: null, q: row.interface, tenant: row.tenant || param("tenant") });
  return here({ by: null, tenant: row.tenant });
}

const seconds = (value: number | null) => (value === null ? "–" : ms(value * 1e3));

function columns(groups: Group[]): Column<Row>[] {
  const names = groups.map((group): Column<Row> => ({ key: group, head: w[group](), sort: (row) => row[group], cell: (row) => row[group].slice(0, 300) || "–", wide: group === "tenant" && groups.length > 1 }));
  const most = (row: Row) => (row.input ?? 0) + (row.output ?? 0);
  return [
    ...names,
    { key: "calls", head: w.calls(), align: "right", width: "76px", sort: (row) => row.calls, cell: (row) => short(row.calls) },
    { key: "calls_over", head: w.over_time(), wide: true, width: "116px", cell: (row) => row.callsOver.length > 0 && <Sparkline values={row.callsOver} label={w.calls_over()} /> },
    { key: "p50", head: w.p50(), align: "right", wide: true, width: "84px", sort: (row) => row.p50, cell: (row) => seconds(row.p50) },
    { key: "p99", head: w.p99(), align: "right", width: "84px", sort: (row) => row.p99, cell: (row) => seconds(row.p99) },
    { key: "p99_over", head: w.over_time(), wide: true, width: "116px", cell: (row) => row.p99Over.length > 0 && <Sparkline values={row.p99Over} color="s3" label={w.p99_over()} /> },
    { key: "errors", head: w.errors(), align: "right", width: "72px", sort: (row) => row.errors, cell: (row) => (row.errors ? <span class={row.errors >= 0.05 ? "tone-bad" : row.errors >= 0.01 ? "tone-warn" : ""}>{percent(row.errors, 2)}</span> : <span class="faint">0</span>) },
    {
      key: "tokens",
      head: w.tokens(),
      align: "right",
      wide: true,
      width: "90px",
      sort: most,
      cell: (row) => (most(row) ? <span title={w.tokens_about({ input: short(row.input ?? 0), output: short(row.output ?? 0) })}>{short(most(row))}</span> : <span class="faint">–</span>),
    },
  ];
}
