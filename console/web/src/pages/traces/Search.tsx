//! Search of traces: filters, a scatter of durations, the traces as a table.
import { count, ms } from "../../lib/format";
import { clock, now, range, rfc3339, tick } from "../../lib/time";
import type { TraceSummary } from "../../lib/types/traces";
import { go, here, href, param, set } from "../../lib/url";
import { Empty, ProblemBox, Show } from "../../ui/parts";
import { type Column, Table } from "../../ui/Table";
import { Filters } from "./Filters";
import { type Box, Scatter } from "./Scatter";
import { FILTERS, filters, merged, PAGE, useOutliers, useTraces } from "./useTraces";
import { w } from "./words";

const ORDERS = { "start desc": w.newest, "start asc": w.oldest, "duration desc": w.slowest, "duration asc": w.fastest } as const;

/** Where a trace is shown; what was searched for is selected there. */
function addressOf({ trace_id, span }: TraceSummary): string {
  const isFiltered = FILTERS.some((name) => param(name));
  return href(`/traces/${trace_id}`, { span: isFiltered ? span.span_id : null });
}

/** A duration as the search takes it. */
function written(value: number): string {
  return value < 1 ? `${Math.round(value * 1e3)}us` : `${Number(value.toPrecision(4))}ms`;
}

/** A time to the millisecond; without its day where that is today. */
function dayless(time: string): string {
  const text = clock(time);
  return text.slice(0, 10) === clock(now.value).slice(0, 10) ? text.slice(11) : text.slice(5);
}

export function Search() {
  const sort = param("sort") === "duration" ? "duration" : "start";
  const order = param("order") === "asc" ? "asc" : "desc";
  const log = param("scale", "log") !== "linear";
  const found = useTraces(sort, order);
  const outliers = useOutliers(found.first.data !== undefined);
  const { from, to } = range.value;
  const zoomIn = ({ from, to, least, most }: Box) => {
    set({
      start: rfc3339(Math.floor(from)),
      end: rfc3339(Math.ceil(to)),
      ...(least === undefined || most === undefined ? {} : { min_duration: written(least), max_duration: written(most) }),
    });
    tick();
  };
  return (
    <div class="page-full traces">
      <Filters />
      <Show of={found.first}>
        {(page) =>
          found.traces.length ? (
            <>
              <section class="panel">
                <header class="panel-head">
                  <h2>{w.scatter()}</h2>
                  <span class="faint ellipsis grow wide-only">{outliers.loading ? w.scatter_loading() : w.scatter_about()}</span>
                  <div class="panel-actions" role="group" aria-label={w.scale()}>
                    {(param("min_duration") || param("max_duration")) && (
                      <a class="btn" href={here({ min_duration: null, max_duration: null })}>
                        {w.reset_zoom()}
                      </a>
                    )}
                    <button class="btn" type="button" aria-pressed={log} onClick={() => set({ scale: null }, true)}>
                      {w.log_scale()}
                    </button>
                    <button class="btn" type="button" aria-pressed={!log} onClick={() => set({ scale: "linear" }, true)}>
                      {w.linear_scale()}
                    </button>
                  </div>
                </header>
                <Scatter traces={merged(outliers.traces, found.traces)} from={from} to={to} log={log} onOpen={(trace) => go(addressOf(trace))} onZoom={zoomIn} />
              </section>
              <section class={found.isOfOther ? "panel traces-found traces-other" : "panel traces-found"} aria-busy={found.isOfOther}>
                <header class="panel-head">
                  <h2>{w.traces()}</h2>
                  <span class="faint">{(found.hasMore ? w.loaded : w.all_loaded)({ n: count(found.traces.length) })}</span>
                  <span class="grow" />
                  <div class="panel-actions">
                    {found.hasMore && (
                      <button class="btn" type="button" disabled={found.loadingMore} onClick={found.more}>
                        {found.loadingMore ? w.loading_more() : w.load_more({ n: PAGE })}
                      </button>
                    )}
                    <select class="select" aria-label={w.order()} value={`${sort} ${order}`} onChange={(event) => takeOrder(event.currentTarget.value)}>
                      {Object.entries(ORDERS).map(([key, text]) => (
                        <option key={key} value={key}>
                          {text()}
                        </option>
                      ))}
                    </select>
                  </div>
                </header>
                {page.gaps.length > 0 && <p class="traces-note tone-warn">{w.gaps()}</p>}
                {found.moreProblem && <ProblemBox problem={found.moreProblem} retry={found.more} />}
                <Found traces={found.traces} />
              </section>
            </>
          ) : (
            <Nothing />
          )
        }
      </Show>
    </div>
  );
}

function takeOrder(text: string) {
  const [sort, order] = text.split(" ");
  set({ sort: sort === "start" ? null : sort, order: order === "desc" ? null : order });
}

function Nothing() {
  const isFiltered = Object.values(filters()).some(Boolean);
  const action = isFiltered ? (
    <a class="btn" href={here(Object.fromEntries(FILTERS.map((name) => [name, null])))}>
      {w.clear()}
    </a>
  ) : (
    <a class="btn" href={here({ start: "now-1d", end: null })}>
      {w.last_day()}
    </a>
  );
  return (
    <Empty action={action}>
      {w.none()} {isFiltered ? w.none_hint() : w.none_hint_plain()}
    </Empty>
  );
}

function Found({ traces }: { traces: TraceSummary[] }) {
  const most = traces.reduce((most, one) => Math.max(most, one.duration_ns), 1);
  const isOfMany = new Set(traces.map((one) => one.span.tenant)).size > 1;
  const tenant: Column<TraceSummary> = { key: "tenant", head: w.tenant(), wide: true, width: "92px", cell: (row) => row.span.tenant };
  const columns: Column<TraceSummary>[] = [
    { key: "start", head: w.start(), width: "122px", wide: true, cell: (row) => dayless(row.start) },
    {
      key: "root",
      head: w.root(),
      cell: (row) => (
        <span class="trace-root">
          <b>{row.root_service || w.no_root()}</b> {row.root_name || row.span.name}
        </span>
      ),
    },
    ...(isOfMany ? [tenant] : []),
    { key: "services", head: w.services(), wide: true, width: "22%", cell: (row) => <span title={row.services.join(", ").slice(0, 2000)}>{row.services.slice(0, 12).join(" · ")}</span> },
    {
      key: "duration",
      head: w.duration(),
      width: "var(--duration)",
      cell: (row) => (
        <span class="trace-duration">
          <span>{ms(row.duration_ns / 1e6)}</span>
          <i class={row.error_count ? "trace-bar trace-bar-bad" : "trace-bar"} style={{ width: `${Math.max(1, (row.duration_ns / most) * 100)}px` }} />
        </span>
      ),
    },
    { key: "spans", head: w.spans(), align: "right", wide: true, width: "76px", cell: (row) => count(row.span_count) },
    { key: "errors", head: w.errors(), align: "right", width: "72px", cell: (row) => (row.error_count ? <span class="tone-bad">{count(row.error_count)}</span> : "") },
  ];
  return <Table label={w.traces()} columns={columns} rows={traces} keyOf={(row) => row.trace_id} href={addressOf} tone={(row) => (row.error_count ? "bad" : undefined)} />;
}
