//! What else is known of the time of a trace: its log lines and its GPUs, on the axis of its spans.
import { useMemo } from "preact/hooks";
import { bytes, count, ms, percent, short } from "../../lib/format";
import { rank } from "../../lib/severity";
import { SERIES, severityColor } from "../../lib/theme";
import type { Hit } from "../../lib/types/logs";
import type { Dossier } from "../../lib/types/traces";
import { here, href, param } from "../../lib/url";
import { Chart, type Mark } from "../../ui/Chart";
import { Panel } from "../../ui/parts";
import { VirtualList } from "../../ui/Virtual";
import { share, tickText, type View } from "./axis";
import { pointed } from "./cursor";
import { logsOfTrace, timeOf } from "./links";
import { gpuCharts } from "./samples";
import type { Tree } from "./tree";
import { Pointed } from "./Waterfall";
import { w } from "./words";

const ROW = 24;
/** Of a body: more is never seen in a row. */
const SHOWN = 400;
/** Places of the track of log lines. */
const PLACES = 400;

interface Props {
  dossier: Dossier;
  tree: Tree;
  view: View;
  id: string;
}

/** Where log lines lie within the view: the worst of each place. */
function track(logs: Hit[], tree: Tree, view: View): { place: number; severity: string }[] {
  const worst = new Map<number, string>();
  for (const { timestamp, severity } of logs) {
    const at = share(view, new Date(timestamp).getTime() - tree.start);
    if (at < 0 || at > 1) continue;
    const place = Math.round(at * PLACES);
    const known = worst.get(place);
    if (known === undefined || rank(severity) < rank(known)) worst.set(place, severity);
  }
  return [...worst].map(([place, severity]) => ({ place: place / PLACES, severity }));
}

export function Logs({ dossier, tree, view, id }: Props) {
  const { logs } = dossier;
  const marks = useMemo(() => track(logs, tree, view), [logs, tree, view.from, view.to]);
  const time = timeOf(tree);
  const spans = useMemo(() => new Set(tree.nodes.map((node) => node.span.span_id)), [tree]);
  const row = (index: number) => {
    const hit = logs[index];
    if (!hit) return null;
    const at = new Date(hit.timestamp).getTime() - tree.start;
    const body = (typeof hit.body === "string" ? hit.body : (JSON.stringify(hit.body) ?? "")).slice(0, SHOWN);
    return (
      <div class="dossier-line" onMouseEnter={() => (pointed.value = at)} onMouseLeave={() => (pointed.value = null)}>
        <span class="dossier-at">{at < 0 ? tickText(at) : w.after_start({ length: tickText(at) })}</span>
        <i class="wf-color" style={{ background: `var(--${severityColor(hit.severity)})` }} title={hit.severity} />
        {spans.has(hit.span_id) ? (
          <a class="dossier-service ellipsis" href={here({ span: hit.span_id })}>
            {hit.service.slice(0, 100)}
          </a>
        ) : (
          <span class="dossier-service ellipsis">{hit.service.slice(0, 100)}</span>
        )}
        <a class="dossier-body ellipsis" href={href("/logs", { query: `trace_id:${id}`, ...time, line: hit.id, at: hit.timestamp })}>
          {body.replace(/[\u0000-\u001f]/g, (control) => String.fromCharCode(0x2400 + control.charCodeAt(0)))}
        </a>
      </div>
    );
  };
  return (
    <Panel
      class="panel-flush"
      title={
        <>
          {w.dossier_logs()} <span class="faint">{count(logs.length)}</span>
        </>
      }
      actions={
        <>
          {dossier.truncated && <span class="faint">{w.dossier_cut()}</span>}
          <a href={logsOfTrace(tree, id)}>{w.logs_of_trace()}</a>
        </>
      }
    >
      {logs.length === 0 ? (
        <p class="trace-none faint">{w.dossier_no_logs()}</p>
      ) : (
        <>
          <div class="wf-axis dossier-track" aria-hidden="true">
            <span class="wf-head" />
            <div class="wf-grid">
              {marks.map(({ place, severity }) => (
                <i key={place} style={{ left: `${place * 100}%`, background: `var(--${severityColor(severity)})` }} />
              ))}
              <Pointed view={view} />
            </div>
          </div>
          <div class="dossier-lines" style={{ height: `min(${logs.length * ROW + 4}px, 240px)` }}>
            <VirtualList label={w.dossier_logs()} count={logs.length} estimate={ROW}>
              {row}
            </VirtualList>
          </div>
        </>
      )}
    </Panel>
  );
}

function unitText(unit: string): (value: number) => string {
  if (unit === "1") return (value) => percent(value, 0);
  if (unit === "By") return bytes;
  if (unit === "Cel") return (value) => `${short(value)} °C`;
  return (value) => `${short(value)}${unit ? ` ${unit}` : ""}`;
}

/** Before and behind the trace, in seconds: as far as the dossier's samples go. */
const AROUND = 60;

export function Gpus({ dossier, tree, view, onView }: Props & { onView: (view: View) => void }) {
  const begin = tree.start / 1e3;
  const charts = useMemo(() => gpuCharts(dossier.gpu_samples, begin), [dossier, begin]);
  const isAround = param("gpu") === "around";
  // In seconds from the start of the trace, so that the lines of the axis stand at round times of it.
  const [from, to] = isAround ? [-AROUND, tree.duration / 1e3 + AROUND] : [view.from / 1e3, view.to / 1e3];
  const marks = useMemo(
    () => dossier.gpu_events.map((event): Mark => ({ at: new Date(event.timestamp).getTime() / 1e3 - begin, label: w.gpu_event({ xid: String(event.attributes["weir.gpu.xid"] ?? "") }), color: "bad" })),
    [dossier, begin],
  );
  const bands = useMemo(() => (isAround ? [{ from: 0, to: tree.duration / 1e3, color: "accent" }] : []), [isAround, tree.duration]);
  const axis = (at: number) => (at >= 0 ? tickText(at * 1e3) : `−${ms(-at * 1e3)}`);
  return (
    <Panel
      class="panel-flush"
      title={w.dossier_gpus()}
      actions={
        charts.length > 0 && (
          <div class="row" role="group" aria-label={w.gpu_span()}>
            <a class="btn" aria-pressed={!isAround} role="button" href={here({ gpu: null })}>
              {w.gpu_trace()}
            </a>
            <a class="btn" aria-pressed={isAround} role="button" href={here({ gpu: "around" })}>
              {w.gpu_around()}
            </a>
          </div>
        )
      }
    >
      {charts.length === 0 ? (
        <p class="trace-none faint">{w.dossier_no_gpus()}</p>
      ) : (
        charts.map((chart) => (
          <div key={chart.metric} class="gpu-chart">
            <div class="gpu-name">
              <span class="mono">
                {chart.metric}
                {chart.isRate && " /s"}
              </span>
              {chart.series.map((one, at) => (
                <span key={one.label} class="ellipsis faint" title={one.label}>
                  <i class="swatch" style={{ background: `var(--${SERIES[at % SERIES.length]})` }} />
                  {one.label}
                </span>
              ))}
            </div>
            <Chart
              label={chart.metric}
              times={chart.times}
              series={chart.series.map((one, at) => ({ ...one, color: SERIES[at % SERIES.length] ?? "s1" }))}
              height={84}
              legend={false}
              unit={unitText(chart.isRate && chart.unit === "s" ? "1" : chart.unit)}
              from={from}
              to={to}
              marks={marks}
              bands={bands}
              axisText={axis}
              sync="trace"
              onZoom={(from, to) => onView({ from: from * 1e3, to: to * 1e3 })}
            />
          </div>
        ))
      )}
    </Panel>
  );
}
