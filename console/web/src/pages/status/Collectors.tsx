//! Collectors and their ledgers: read = on the bus + waiting + lost.
import { bytes, count, ms } from "../../lib/format";
import { here, param } from "../../lib/url";
import { Badge, Empty, Panel } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { sum, type CollectorState } from "./health";
import { reasonText } from "./reason";
import { w } from "./words";

export function Collectors({ collectors }: { collectors: CollectorState[] }) {
  const versions = new Map<string, number>();
  for (const { version } of collectors) if (version) versions.set(version, (versions.get(version) ?? 0) + 1);
  const usual = [...versions].sort((a, b) => b[1] - a[1])[0]?.[0];
  const columns: Column<CollectorState>[] = [
    { key: "host", head: w.host(), cell: (one) => <span title={one.id}>{one.host || one.id || "–"}</span>, sort: (one) => one.host },
    { key: "state", head: w.state(), cell: (one) => <Up up={one.up} />, sort: (one) => Number(one.up ?? true) },
    {
      key: "version",
      head: w.version(),
      wide: true,
      sort: (one) => one.version,
      cell: (one) => (one.version && one.version !== usual ? <Badge tone="warn">{one.version}</Badge> : one.version || "–"),
    },
    { key: "uptime", head: w.uptime(), align: "right", wide: true, cell: (one) => (one.uptime === null ? "–" : ms(one.uptime * 1e3)), sort: (one) => one.uptime },
    { key: "files", head: w.files(), align: "right", wide: true, cell: (one) => count(one.files), sort: (one) => one.files },
    { key: "read", head: w.read(), align: "right", wide: true, cell: (one) => bytes(one.read), sort: (one) => one.read },
    { key: "acknowledged", head: w.acknowledged(), align: "right", wide: true, cell: (one) => bytes(one.acknowledged), sort: (one) => one.acknowledged },
    { key: "waiting", head: w.waiting(), align: "right", cell: (one) => <Waiting of={one} />, sort: (one) => one.waitingSeconds },
    { key: "lost", head: w.lost(), align: "right", cell: (one) => <Lost lost={one.lost} />, sort: (one) => sum(one.lost) },
  ];
  if (collectors.some((one) => one.records !== null)) {
    columns.push({
      key: "otlp",
      head: w.otlp(),
      align: "right",
      wide: true,
      sort: (one) => one.records,
      cell: (one) => (
        <>
          {one.refused ? <Badge tone="warn">{w.refused({ n: count(one.refused) })}</Badge> : null} {one.records === null ? "–" : count(one.records)}
        </>
      ),
    });
  }
  const isOwn = collectors.some((one) => one.lostLately === null);
  return (
    <Panel title={w.collectors()} class="panel-flush" actions={isOwn && <small class="faint">{w.not_published()}</small>}>
      <Table
        label={w.collectors()}
        columns={columns}
        rows={collectors}
        keyOf={(one) => one.id}
        href={(one) => here({ file: param("file") === one.host ? null : one.host })}
        sort="state"
        sortParam="csort"
        tone={(one) => (one.up === false || (one.lostLately ?? 0) > 0 ? "bad" : one.waitingSeconds > 10 ? "warn" : undefined)}
        current={(one) => one.host !== "" && one.host === param("file")}
        empty={<Empty>{w.no_collectors()}</Empty>}
      />
    </Panel>
  );
}

function Up({ up }: { up: boolean | null }) {
  if (up === null) return <Badge tone="idle">{w.unknown()}</Badge>;
  return up ? <Badge tone="ok">{w.up()}</Badge> : <Badge tone="bad">{w.down()}</Badge>;
}

function Waiting({ of }: { of: Pick<CollectorState, "waiting" | "waitingSeconds"> }) {
  if (!of.waiting) return <span class="faint">0</span>;
  return (
    <span class={of.waitingSeconds > 10 ? "tone-warn" : ""}>
      {bytes(of.waiting)} <span class="faint">{ms(of.waitingSeconds * 1e3)}</span>
    </span>
  );
}

export function Lost({ lost }: { lost: Record<string, number> }) {
  const all = sum(lost);
  if (!all) return <span class="faint">0</span>;
  const reasons = Object.entries(lost).filter(([, size]) => size > 0);
  return (
    <span class="tone-bad" title={reasons.map(([reason, size]) => `${reasonText(reason)}: ${bytes(size)}`).join("\n")}>
      {bytes(all)}
    </span>
  );
}
