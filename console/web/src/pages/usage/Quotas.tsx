//! What tenants may use, and what is left of it.
import { count, percent } from "../../lib/format";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { ago, now, rfc3339, shortClock } from "../../lib/time";
import type { Quota, Quotas, Usage } from "../../lib/types/usage";
import { Badge, Empty, Panel, Shares, Show } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { askQuotas } from "./load";
import { gpuHours } from "./show";
import { w } from "./words";

/** Tenants whose quotas are asked for at once. */
const MOST_TENANTS = 100;

const EXAMPLE = `usage:
  quotas: [quotas.yaml]

# quotas.yaml
quotas:
  - {tenant: "*", per: day, calls: 1000000}
  - {tenant: acme, per: month, tokens: 5000000000}`;

interface Row extends Quota {
  tenant: string;
}

const shareOf = (row: Row) => (row.limit > 0 ? row.used / row.limit : 1);

function quotaText(name: string): string {
  if (name === "calls") return w.quota_calls();
  if (name === "tokens") return w.quota_tokens();
  return name === "gpu_seconds" ? w.quota_gpu_seconds() : name;
}

/** Seconds of GPUs as hours, everything else as a number. */
function amountText(quota: string, value: number): string {
  return quota === "gpu_seconds" ? gpuHours(value) : count(value);
}

/** A little is not nothing. */
function shareText(share: number): string {
  return share > 0 && share < 0.001 ? `< ${percent(0.001)}` : percent(share);
}

const COLORS = { ok: "s1", warn: "warn", bad: "bad" } as const;

function tone(row: Row): "ok" | "warn" | "bad" {
  const share = shareOf(row);
  return share >= 1 ? "bad" : share >= 0.8 ? "warn" : "ok";
}

function columns(): Column<Row>[] {
  return [
    { key: "tenant", head: w.tenant(), cell: (row) => row.tenant, sort: (row) => row.tenant },
    { key: "quota", head: w.quota(), cell: (row) => `${quotaText(row.quota)} ${row.per === "month" ? w.per_month() : w.per_day()}`, sort: (row) => `${row.quota} ${row.per}` },
    {
      key: "share",
      head: w.used(),
      width: "30%",
      sort: shareOf,
      cell: (row) => (
        <span class="usage-quota">
          <Shares
            label={w.used_of({ used: amountText(row.quota, row.used), limit: amountText(row.quota, row.limit) })}
            parts={[{ share: shareOf(row), color: COLORS[tone(row)], label: w.used() }]}
          />
          {row.remaining > 0 ? <span>{shareText(shareOf(row))}</span> : <Badge tone="bad">{w.used_up()}</Badge>}
        </span>
      ),
    },
    { key: "used", head: w.used(), align: "right", wide: true, cell: (row) => amountText(row.quota, row.used) },
    { key: "limit", head: w.limit(), align: "right", wide: true, cell: (row) => amountText(row.quota, row.limit) },
    { key: "left", head: w.remaining(), align: "right", cell: (row) => amountText(row.quota, row.remaining), sort: (row) => row.remaining },
    { key: "resets", head: w.resets(), align: "right", wide: true, cell: (row) => <time title={row.resets_at}>{ago(row.resets_at)}</time>, sort: (row) => row.resets_at },
  ];
}

/** Of these tenants; `quiet` shows nothing where there are no quotas. */
export function QuotaPanel({ tenants, quiet }: { tenants: string[]; quiet?: boolean }) {
  const data = useData([tenants, now.value], (signal) => askQuotas(tenants, signal));
  return (
    <Show of={data}>
      {(answers) => {
        const rows = answers.flatMap((answer) => answer.quotas.map((quota) => ({ ...quota, tenant: answer.tenant })));
        if (!rows.length) return quiet ? null : <NoQuotas />;
        return (
          <Panel title={w.quotas()} class="panel-flush" actions={<Age answers={answers} />}>
            <Table
              label={w.quotas()}
              columns={columns()}
              rows={rows}
              keyOf={(row) => `${row.tenant} ${row.quota} ${row.per}`}
              sort="-share"
              sortParam="qsort"
              tone={(row) => (tone(row) === "ok" ? undefined : tone(row) === "bad" ? "bad" : "warn")}
            />
          </Panel>
        );
      }}
    </Show>
  );
}

function Age({ answers }: { answers: Quotas[] }) {
  const until = answers[0]?.complete_until;
  return until ? <small class="faint">{w.complete({ at: shortClock(until) })}</small> : null;
}

function NoQuotas() {
  return (
    <Empty action={<pre class="usage-example">{EXAMPLE}</pre>}>{w.no_quotas()}</Empty>
  );
}

/** Of all tenants that used something lately, or of the one that is chosen. */
export function QuotasView({ tenant }: { tenant: string }) {
  const start = rfc3339(now.value - 30 * 864e5);
  const known = useData([tenant], async (signal) => {
    if (tenant) return [tenant];
    const usage = await get<Usage>("/api/v1/usage", { start, by: "tenant", limit: 10_000 }, signal);
    const used = usage.rows.filter((row) => row.tenant).sort((a, b) => b.calls - a.calls);
    return used.map((row) => row.tenant ?? "");
  });
  return (
    <Show of={known}>
      {(tenants) =>
        tenants.length ? (
          <>
            <QuotaPanel tenants={tenants.slice(0, MOST_TENANTS)} />
            {tenants.length > MOST_TENANTS && <p class="faint">{w.quotas_cut({ n: MOST_TENANTS })}</p>}
          </>
        ) : (
          <Empty>{w.quotas_none_known()}</Empty>
        )
      }
    </Show>
  );
}
