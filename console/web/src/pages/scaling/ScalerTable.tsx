//! Which scalers ask, and what they were last answered.
import { count, percent, short } from "../../lib/format";
import { ago, now, range } from "../../lib/time";
import type { Scaler } from "../../lib/types/scaling";
import { here } from "../../lib/url";
import { Badge, Panel, Sparkline } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { courseOf, named, RANK, stateOf, type State } from "./course";
import { w } from "./words";

const TONES = { error: "bad", silent: "warn", over: "info", within: "ok", idle: "idle", answered: "ok" } as const;

export function StateBadge({ state }: { state: State }) {
  return <Badge tone={TONES[state]}>{w[state]()}</Badge>;
}

export function ScalerTable({ scalers }: { scalers: Scaler[] }) {
  const state = (scaler: Scaler) => stateOf(scaler, now.value);
  const share = (scaler: Scaler) => (scaler.value !== null && scaler.target ? scaler.value / scaler.target : null);
  const ids = new Map(named(scalers).map(({ id, scaler }) => [scaler, id]));
  const idOf = (scaler: Scaler) => ids.get(scaler) ?? "";
  const inState = (wanted: State) => scalers.filter((scaler) => state(scaler) === wanted).length;
  const via: Column<Scaler> = { key: "via", head: w.via(), cell: (scaler) => w[scaler.kind](), sort: (scaler) => scaler.kind, wide: true };
  const isMixed = new Set(scalers.map((scaler) => scaler.kind)).size > 1;
  const columns: Column<Scaler>[] = [
    { key: "workload", head: w.workload(), cell: (scaler) => `${scaler.namespace}/${scaler.name}`, sort: (scaler) => `${scaler.namespace}/${scaler.name}` },
    { key: "state", head: w.state(), cell: (scaler) => <StateBadge state={state(scaler)} />, sort: (scaler) => RANK[state(scaler)] },
    ...(isMixed ? [via] : []),
    { key: "tenant", head: w.tenant(), cell: (scaler) => scaler.tenant ?? <span class="tone-warn">{w.no_tenant()}</span>, sort: (scaler) => scaler.tenant, wide: true },
    {
      key: "answer",
      head: w.query(),
      wide: true,
      cell: (scaler) => <Answer scaler={scaler} />,
    },
    { key: "course", head: w.course(), wide: true, cell: (scaler) => <Sparkline values={courseOf(scaler, range.value).values} label={w.course_of({ name: scaler.name })} /> },
    { key: "value", head: w.value(), align: "right", cell: (scaler) => (scaler.value === null ? "–" : short(scaler.value)), sort: (scaler) => scaler.value },
    { key: "target", head: w.target(), align: "right", cell: (scaler) => (scaler.target === null ? "–" : short(scaler.target)), sort: (scaler) => scaler.target },
    { key: "share", head: w.of_target(), align: "right", wide: true, sort: share, cell: (scaler) => percent(share(scaler) ?? Number.NaN, 0) },
    { key: "last", head: w.last_asked(), align: "right", wide: true, cell: (scaler) => ago(scaler.last_asked), sort: (scaler) => scaler.last_asked },
  ];
  return (
    <>
      <p role="status">{w.summary({ n: count(scalers.length), errors: inState("error"), over: inState("over") })}</p>
      <Panel title={w.scalers()} class="panel-flush" actions={<small class="faint">{w.forgotten()}</small>}>
        <Table
          label={w.scalers()}
          columns={columns}
          rows={scalers}
          keyOf={idOf}
          href={(scaler) => here({ scaler: idOf(scaler) })}
          sort="state"
          tone={(scaler) => (state(scaler) === "error" ? "bad" : state(scaler) === "silent" ? "warn" : undefined)}
        />
      </Panel>
    </>
  );
}

/** The query, or the error where there is one. */
function Answer({ scaler }: { scaler: Scaler }) {
  if (scaler.error !== null) return <span class="tone-bad scaling-answer" title={scaler.error.slice(0, 2000)}>{scaler.error.slice(0, 200)}</span>;
  return <code class="scaling-answer" title={scaler.query.slice(0, 2000)}>{scaler.query.slice(0, 200)}</code>;
}
