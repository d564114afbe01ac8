//! All nodes: the fleet's numbers, the grid, and the table.
import { useMemo } from "preact/hooks";
import { count, percent } from "../../lib/format";
import { here, param, set } from "../../lib/url";
import { Empty, Panel, Stat } from "../../ui/parts";
import { isInUse, matches, totals, type Gpu, type Node, type Totals } from "./fleet";
import { Grid } from "./Grid";
import { MEASURES, type Measure } from "./heat";
import { NodeTable, watts } from "./NodeTable";
import { TenantTable } from "./TenantTable";
import { useTrends } from "./useFleet";
import { w } from "./words";

const ONLY = { used: isInUse, idle: (gpu: Gpu) => gpu.idle, failed: (gpu: Gpu) => gpu.failed.length > 0 };

export function FleetView({ nodes }: { nodes: Node[] }) {
  const measure = MEASURES.find((measure) => measure === param("color")) ?? "utilization";
  const filter = param("q");
  const only = param("only") as keyof typeof ONLY;
  const trends = useTrends({});
  const all = useMemo(() => totals(nodes), [nodes]);
  const found = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const named = nodes.filter((node) => matches(node, words));
    const test = ONLY[only];
    return test ? named.map((node) => ({ ...node, gpus: node.gpus.filter(test) })).filter((node) => node.gpus.length) : named;
  }, [nodes, filter, only]);
  const withGpus = useMemo(() => found.filter((node) => node.gpus.length), [found]);
  if (!nodes.length) return <NoNodes />;
  return (
    <>
      <Summary all={all} only={only} />
      <div class="row" role="search">
        <input class="input grow gp-filter" data-query type="search" spellcheck={false} aria-label={w.filter_about()} placeholder={w.filter()} value={filter} onInput={(event) => set({ q: event.currentTarget.value }, true)} />
        {all.gpus > 0 && (
          <div class="row gp-measures" role="group" aria-label={w.color_by()}>
            {MEASURES.map((one) => (
              <button key={one} class="btn" type="button" aria-pressed={one === measure} onClick={() => set({ color: one === "utilization" ? null : one }, true)}>
                {w[one]()}
              </button>
            ))}
          </div>
        )}
      </div>
      {!all.gpus && <p class="gp-note">{w.no_gpu()}</p>}
      {!found.length && <Empty action={<a class="btn" href={here({ q: null, only: null })}>{w.clear()}</a>}>{w.no_match()}</Empty>}
      {withGpus.length > 0 && (
        <Panel title={w.grid()} actions={<Legend measure={measure} />}>
          <Grid nodes={withGpus} measure={measure} />
        </Panel>
      )}
      {withGpus.length > 0 && <TenantTable nodes={withGpus} />}
      {found.length > 0 && (
        <Panel title={`${w.nodes()} · ${count(found.length)}`} class="panel-flush">
          <NodeTable nodes={found} trends={trends} hasGpus={all.gpus > 0} />
        </Panel>
      )}
    </>
  );
}

/** A tenant sees its own pods; machines are nobody's. */
function NoNodes() {
  if (param("tenant")) return <Empty action={<a class="btn" href={here({ tenant: null })}>{w.all_tenants()}</a>}>{w.none_tenant()}</Empty>;
  return <Empty>{w.none()}</Empty>;
}

function Summary({ all, only }: { all: Totals; only: string }) {
  const toggle = (name: string) => here({ only: only === name ? null : name });
  const note = (name: string) => (only === name ? w.all() : undefined);
  return (
    <div class="stats gp-stats">
      <Stat label={w.nodes()} value={count(all.nodes)} />
      {all.gpus > 0 && (
        <>
          <Stat label={w.gpus()} value={count(all.gpus)} note={all.migs ? w.migs({ n: count(all.migs) }) : undefined} />
          <Stat label={w.in_use()} value={count(all.inUse)} note={note("used") ?? w.in_use_of({ n: count(all.gpus) })} href={toggle("used")} />
          <Stat label={w.idle()} value={count(all.idle)} tone={all.idle ? "warn" : undefined} note={note("idle")} href={toggle("idle")} />
          <Stat label={w.failed()} value={count(all.failed)} tone={all.failed ? "bad" : undefined} note={note("failed")} href={toggle("failed")} />
          <Stat label={w.utilization()} value={all.utilization === null ? "–" : percent(all.utilization, 0)} note={w.mean()} />
          <Stat label={w.memory()} value={all.limit ? percent(all.used / all.limit, 0) : "–"} />
          <Stat label={w.power()} value={all.power === null ? "–" : watts(all.power)} />
        </>
      )}
    </div>
  );
}

function Legend({ measure }: { measure: Measure }) {
  const [from, to] = { utilization: ["0%", "100%"], memory: ["0%", "100%"], temperature: ["25 °C", "90 °C"], power: ["0 W", w.limit({ value: "" })] }[measure];
  return (
    <div class="gp-legend" aria-hidden="true">
      <span>{from}</span>
      <i class="gp-scale" />
      <span>{to}</span>
      <i class="gp-key gp-cell-failed" />
      {w.legend_failed()}
      <i class="gp-key gp-cell-idle" />
      {w.legend_idle()}
      <i class="gp-key gp-cell-throttled" />
      {w.legend_throttled()}
    </div>
  );
}
