//! Which service calls which: a graph, and the same as a table.
import { useMemo, useState } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { count, ms, percent, short } from "../../lib/format";
import { bounds, range } from "../../lib/time";
import type { Dependencies, Dependency } from "../../lib/types/traces";
import { here, href, param } from "../../lib/url";
import { Empty, IconButton, Panel, Show } from "../../ui/parts";
import { type Column, Table } from "../../ui/Table";
import { around, type Edge, type Graph, layout, NODE, type Placed } from "./layout";
import { w } from "./words";

/** Services of the graph. */
const MOST = 200;
/** Space about the graph, also for calls that lead back. */
const MARGIN = 24;
/** Pixels of a screen on which the graph is small at first. */
const NARROW = 700;
const SIZES = [0.4, 0.55, 0.75, 1, 1.3];

export function ServiceMap() {
  const dependencies = useData([bounds.value, param("tenant")], (signal) => get<Dependencies>("/api/v1/dependencies", bounds.value, signal));
  return (
    <Show of={dependencies}>
      {({ dependencies, truncated }) =>
        dependencies.length ? (
          <Shown all={dependencies} isCut={truncated ?? false} />
        ) : (
          <Empty>
            {w.map_none()} {w.map_none_hint()}
          </Empty>
        )
      }
    </Show>
  );
}

function Shown({ all, isCut }: { all: Dependency[]; isCut: boolean }) {
  const service = param("service");
  const listed = useMemo(() => (service ? around(all, service) : all), [all, service]);
  const graph = useMemo(() => layout(listed, MOST), [listed]);
  const [size, setSize] = useState(graph.nodes.length > 60 || innerWidth < NARROW ? 1 : 3);
  return (
    <>
      <Panel
        class="panel-flush map-panel"
        title={service ? service.slice(0, 200) : w.map()}
        actions={
          <>
            {service ? (
              <>
                <a class="btn" href={here({ view: null, service: null, q: service })}>
                  {w.its_interfaces()}
                </a>
                <a class="btn" href={href("/traces", { service })}>
                  {w.its_traces()}
                </a>
                <a class="btn" href={here({ service: null })}>
                  {w.map_all()}
                </a>
              </>
            ) : (
              <span class="faint wide-only">{isCut ? w.map_cut() : graph.all > MOST ? w.map_most({ n: MOST, all: count(graph.all) }) : w.map_about()}</span>
            )}
            <IconButton icon="minus" label={w.zoom_out()} disabled={size === 0} onClick={() => setSize(size - 1)} />
            <IconButton icon="plus" label={w.zoom_in()} disabled={size === SIZES.length - 1} onClick={() => setSize(size + 1)} />
          </>
        }
      >
        <Drawing graph={graph} scale={SIZES[size] ?? 1} current={service} />
      </Panel>
      <section class="panel map-table">
        <Table label={w.map()} columns={columns()} rows={listed} keyOf={(row) => `${row.parent}\u0000${row.child}\u0000${row.peer ?? ""}`} sort="-calls" tone={(row) => (row.errors / row.calls >= 0.05 ? "bad" : undefined)} />
      </section>
    </>
  );
}

function Drawing({ graph, scale, current }: { graph: Graph; scale: number; current: string }) {
  const [over, setOver] = useState<string | null>(null);
  const most = graph.edges.reduce((most, { of }) => Math.max(most, of.calls), 1);
  const [width, height] = [graph.width + 2 * MARGIN, graph.height + 2 * MARGIN];
  const isNear = ({ from, to }: Edge) => over === null || from.name === over || to.name === over;
  return (
    <div class="map-scroll" tabIndex={0} role="region" aria-label={w.map_label({ services: graph.nodes.length, calls: graph.edges.length })}>
      <svg width={width * scale} height={height * scale} viewBox={`${-MARGIN} ${-MARGIN} ${width} ${height}`}>
        {graph.edges.map((edge) => (
          <g key={`${edge.of.parent}\u0000${edge.of.child}\u0000${edge.of.peer ?? ""}`} class={isNear(edge) ? "map-edge" : "map-edge map-far"}>
            <path d={curve(edge)} style={{ stroke: `var(--${toneOf(edge.of)})`, strokeWidth: 1 + 5 * Math.sqrt(edge.of.calls / most) }} stroke-dasharray={edge.isBack ? "5 4" : undefined}>
              <title>{about(edge.of)}</title>
            </path>
          </g>
        ))}
        {graph.nodes.map((node) => (
          <Service key={node.name} node={node} isCurrent={node.name === current} onOver={setOver} />
        ))}
      </svg>
    </div>
  );
}

function Service({ node, isCurrent, onOver }: { node: Placed; isCurrent: boolean; onOver: (name: string | null) => void }) {
  const kind = node.peer ? peerText(node.peer) : "";
  const name = node.name.length > 20 ? `${node.name.slice(0, 19)}…` : node.name;
  return (
    <a href={here({ service: isCurrent ? null : node.name })} class={`map-node ${node.peer ? "map-peer" : ""} ${isCurrent ? "map-current" : ""}`} onMouseEnter={() => onOver(node.name)} onMouseLeave={() => onOver(null)}>
      <title>{`${node.name.slice(0, 400)} ${kind}`.trim()}</title>
      <rect x={node.x} y={node.y} width={NODE.width} height={NODE.height} rx="6" />
      <text x={node.x + NODE.width / 2} y={node.y + NODE.height / 2}>
        {name}
      </text>
    </a>
  );
}

function toneOf({ calls, errors }: Dependency): string {
  const share = calls ? errors / calls : 0;
  return share >= 0.05 ? "bad" : share >= 0.01 ? "sev-warn" : "line-2";
}

function about({ parent, child, calls, errors, p50_ms, p99_ms }: Dependency): string {
  return w.edge_about({ parent: parent.slice(0, 200), child: child.slice(0, 200), calls: count(calls), errors: count(errors), p50: ms(p50_ms), p99: ms(p99_ms) });
}

function peerText(peer: NonNullable<Dependency["peer"]>): string {
  return { service: w.peer_service, database: w.peer_database, messaging: w.peer_messaging, host: w.peer_host }[peer]();
}

/** From the right side of the caller to the left side of the callee; what leads back goes around below. */
function curve({ from, to, isBack }: Edge): string {
  const middle = NODE.height / 2;
  if (isBack || to.x <= from.x) {
    const [x0, y0, x1, y1] = [from.x + NODE.width / 2, from.y + NODE.height, to.x + NODE.width / 2, to.y + NODE.height];
    const low = Math.max(y0, y1) + 26;
    return `M${x0} ${y0}C${x0} ${low},${x1} ${low},${x1} ${y1}`;
  }
  const [x0, y0, x1, y1] = [from.x + NODE.width, from.y + middle, to.x, to.y + middle];
  const bend = Math.max(40, (x1 - x0) / 2);
  return `M${x0} ${y0}C${x0 + bend} ${y0},${x1 - bend} ${y1},${x1} ${y1}`;
}

function columns(): Column<Dependency>[] {
  const seconds = (range.value.to - range.value.from) / 1e3;
  const link = (name: string) => <a href={here({ service: name })}>{name.slice(0, 200)}</a>;
  return [
    { key: "parent", head: w.caller(), sort: (row) => row.parent, cell: (row) => link(row.parent) },
    {
      key: "child",
      head: w.callee(),
      sort: (row) => row.child,
      cell: (row) => (
        <>
          {link(row.child)} {row.peer && <span class="faint">{peerText(row.peer)}</span>}
        </>
      ),
    },
    { key: "calls", head: w.calls(), align: "right", sort: (row) => row.calls, cell: (row) => <span title={count(row.calls)}>{short(row.calls / seconds)}</span> },
    { key: "errors", head: w.errors(), align: "right", sort: (row) => row.errors / row.calls, cell: (row) => (row.errors ? <span class={row.errors / row.calls >= 0.05 ? "tone-bad" : ""}>{percent(row.errors / row.calls, 2)}</span> : <span class="faint">0</span>) },
    { key: "p50", head: w.p50(), align: "right", wide: true, sort: (row) => row.p50_ms, cell: (row) => ms(row.p50_ms) },
    { key: "p99", head: w.p99(), align: "right", sort: (row) => row.p99_ms, cell: (row) => ms(row.p99_ms) },
  ];
}
