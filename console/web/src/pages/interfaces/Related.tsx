//! What an interface was slow or failed for: traces and log lines.
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { count, ms } from "../../lib/format";
import { term } from "../../lib/lucene";
import { severityColor } from "../../lib/theme";
import { bounds, shortClock } from "../../lib/time";
import type { SearchAnswer } from "../../lib/types/logs";
import type { TracePage, TraceSummary } from "../../lib/types/traces";
import { href } from "../../lib/url";
import { Panel, Show } from "../../ui/parts";
import type { Subject } from "./Detail";
import { w } from "./words";

const LISTED = 8;
/** Of a body: more is never seen in a row. */
const SHOWN = 300;

export function Related({ subject }: { subject: Subject }) {
  const { tenant, service, interface: name } = subject;
  const of = { service, interface: name };
  const inputs = [bounds.value, tenant, service, name];
  const traces = (more: object) => (signal: AbortSignal) => get<TracePage>("/api/v1/traces/search", { ...of, ...bounds.value, limit: LISTED, ...more }, signal);
  const slowest = useData(inputs, traces({ sort: "duration" }));
  const failing = useData(inputs, traces({ status: "error" }));
  // A call fails for what others say: the lines of its failing traces count too.
  const ids = failing.data?.traces.map(({ trace_id }) => `trace_id:${trace_id}`) ?? [];
  const query = `severity:>=error AND (${[term("service", service), ...ids].join(" OR ")})`;
  const lines = useData([...inputs, failing.loading, ids], failing.loading ? null : (signal) => get<SearchAnswer>("/api/v1/logs/search", { query, ...bounds.value, limit: LISTED }, signal));
  const more = (to: string) => <a href={to}>{w.more_traces()}</a>;
  return (
    <>
      <div class="columns">
        <Panel title={w.slowest()} class="panel-flush" actions={more(href("/traces", { ...of, sort: "duration" }))}>
          <Show of={slowest}>{({ traces }) => <Traces traces={traces} none={w.no_traces()} />}</Show>
        </Panel>
        <Panel title={w.failing()} class="panel-flush" actions={more(href("/traces", { ...of, status: "error" }))}>
          <Show of={failing}>{({ traces }) => <Traces traces={traces} none={w.no_failing()} />}</Show>
        </Panel>
      </div>
      <Panel title={w.lines()} class="panel-flush" actions={more(href("/logs", { query }))}>
        <Show of={lines}>
          {({ hits }) =>
            hits.length ? (
              <ul class="if-rows">
                {hits.map((hit) => (
                  <li key={hit.id}>
                    <span class="faint if-at">{shortClock(hit.timestamp)}</span>
                    <span class="if-service ellipsis">{hit.service.slice(0, 100)}</span>
                    <i class="if-severity" style={{ background: `var(--${severityColor(hit.severity)})` }} title={hit.severity} />
                    <a class="ellipsis mono" href={hit.trace_id ? href(`/traces/${hit.trace_id}`, { span: hit.span_id }) : href("/logs", { query, line: hit.id, at: hit.timestamp })}>
                      {(typeof hit.body === "string" ? hit.body : JSON.stringify(hit.body)).slice(0, SHOWN)}
                    </a>
                  </li>
                ))}
              </ul>
            ) : (
              <p class="faint if-none">{w.no_lines()}</p>
            )
          }
        </Show>
      </Panel>
    </>
  );
}

function Traces({ traces, none }: { traces: TraceSummary[]; none: string }) {
  if (!traces.length) return <p class="faint if-none">{none}</p>;
  return (
    <ul class="if-rows">
      {traces.map(({ trace_id, span, error_count, span_count }) => (
        <li key={trace_id}>
          <span class="faint if-at">{shortClock(span.start)}</span>
          <b class="if-length">{ms(span.duration_ns / 1e6)}</b>
          <a class="ellipsis mono" href={href(`/traces/${trace_id}`, { span: span.span_id })}>
            {trace_id}
          </a>
          <span class="grow" />
          <span class="faint nowrap">
            {w.spans()} {count(span_count)}
            {error_count > 0 && (
              <span class="tone-bad">
                {" "}
                · {w.errors()} {count(error_count)}
              </span>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}
