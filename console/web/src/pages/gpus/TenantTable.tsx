//! Who has the fleet's GPUs, and how much of what they hold they use.
import { useMemo } from "preact/hooks";
import { bytes, count, percent } from "../../lib/format";
import { SERIES } from "../../lib/theme";
import { here } from "../../lib/url";
import { Badge, Panel, Shares } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import type { Node } from "./fleet";
import { byTenant, type TenantShare } from "./tenants";
import { w } from "./words";

/** Parts of a bar that can be told apart; the others are one. */
const MOST_PARTS = 24;

export function TenantTable({ nodes }: { nodes: Node[] }) {
  const { shares, memory, time } = useMemo(() => byTenant(nodes), [nodes]);
  if (!shares.some((share) => share.kind === "tenant")) return null;
  const color = (share: TenantShare, at: number) => (share.kind === "tenant" ? (SERIES[at % SERIES.length] ?? "s1") : share.kind === "unowned" ? "sev-none" : "raised");
  const bar = (value: (share: TenantShare) => number, whole: number) =>
    shares
      .map((share, at) => ({ share: whole ? value(share) / whole : 0, color: color(share, at), label: `${nameOf(share)} ${percent(whole ? value(share) / whole : 0)}` }))
      .filter((_, at) => at < MOST_PARTS || at >= shares.length - 2);
  const isWhole = memory > 0 || time > 0;
  return (
    <Panel title={w.by_tenant()} class="panel-flush">
      {isWhole && (
        <div class="gp-shares gp-inset">
          <span>{w.memory()}</span>
          <Shares parts={bar((share) => share.memory, memory)} label={w.memory()} />
          <span>{w.gpu_time()}</span>
          {time ? <Shares parts={bar((share) => share.time, time)} label={w.gpu_time()} /> : <span class="faint">{w.share_time_unknown()}</span>}
        </div>
      )}
      <Table label={w.by_tenant()} columns={columns(shares, color, memory, time)} rows={shares} keyOf={(share) => `${share.kind} ${share.tenant}`} sortParam="tenants" />
    </Panel>
  );
}

function nameOf({ kind, tenant }: TenantShare): string {
  return kind === "tenant" ? tenant.slice(0, 120) || "–" : kind === "unowned" ? w.share_unowned() : w.share_free();
}

function columns(shares: TenantShare[], color: (share: TenantShare, at: number) => string, memory: number, time: number): Column<TenantShare>[] {
  const ofTenant = (text: (share: TenantShare) => string | number) => (share: TenantShare) => (share.kind === "tenant" ? text(share) : "");
  return [
    {
      key: "tenant",
      head: w.tenant(),
      cell: (share) => (
        <>
          <i class="swatch" style={{ background: `var(--${color(share, shares.indexOf(share))})` }} />
          {share.kind === "tenant" ? <a href={here({ q: share.tenant })}>{nameOf(share)}</a> : <span class="faint">{nameOf(share)}</span>}
        </>
      ),
    },
    { key: "pods", head: w.pods(), align: "right", cell: ofTenant(({ pods }) => count(pods)), sort: ({ pods }) => pods, wide: true },
    { key: "held", head: w.held(), align: "right", cell: ofTenant(({ held }) => count(held)), sort: ({ held }) => held },
    { key: "idle", head: w.idle_gpus(), align: "right", cell: ({ idle }) => idle > 0 && <Badge tone="warn" title={w.idle_about()}>{count(idle)}</Badge>, sort: ({ idle }) => idle },
    { key: "memory", head: w.memory(), align: "right", cell: (share) => bytes(share.memory), sort: (share) => share.memory, wide: true },
    { key: "part", head: w.part_memory(), align: "right", cell: (share) => (memory ? percent(share.memory / memory) : "–") },
    { key: "time", head: w.tenant_time(), align: "right", cell: (share) => <span title={w.tenant_time_about()}>{Number(share.time.toFixed(2))}</span>, sort: (share) => share.time },
    { key: "timepart", head: w.part_time(), align: "right", cell: (share) => (time ? percent(share.time / time) : "–"), wide: true },
    { key: "used", head: w.tenant_used(), align: "right", cell: ofTenant(({ time, held }) => (held ? percent(Math.min(1, time / held), 0) : "–")), sort: ({ time, held, kind }) => (kind === "tenant" && held ? time / held : null), wide: true },
  ];
}
