//! Asks every room how far it is. What one does not answer is said, and the others are shown.
import { address, request } from "../../lib/api";
import { problemOf } from "../../lib/data";
import { query } from "../../lib/prom";
import { may, session } from "../../lib/session";
import type { Range } from "../../lib/time";
import { rfc3339 } from "../../lib/time";
import type { Extent, Pipeline, RoleState, Source } from "../../lib/types/status";
import type { Usage } from "../../lib/types/usage";
import type { Health, RoomState } from "./health";
import { collectorsOf, filesOf, ofSources, type Ledgers } from "./ledgers";

/** Longest that the alerter remembers series of, in seconds. */
const REMEMBERED = 7200;

export async function load(range: Range, signal: AbortSignal): Promise<Health> {
  const [roles, rooms, ledger] = await Promise.all([roleStates(signal), roomStates(range, signal), ledgers(range, signal)]);
  return { roles, rooms, ...ledger };
}

const NO_ROLE: Omit<RoleState, "role"> = { url: null, reachable: true, ready: false, waiting_for: {}, degraded: {}, version: null, error: null };

/** `/readyz` answers with 503 what it waits for. */
async function roleStates(signal: AbortSignal): Promise<RoleState[]> {
  try {
    return (await request<{ roles: RoleState[] }>("GET", "/api/v1/roles", { signal })).roles;
  } catch (error) {
    if (signal.aborted) throw error;
    const { status, detail } = problemOf(error);
    if (status !== 404) return [{ ...NO_ROLE, role: "console", reachable: false, error: detail }];
  }
  const said = await (await fetch("/readyz", { signal })).json();
  const { ready = false, waiting_for = {}, degraded = {} } = said as Partial<RoleState>;
  return [{ ...NO_ROLE, role: "standalone", ready, waiting_for, degraded, version: session.value?.version ?? null }];
}

type Found = Partial<Pick<RoomState, "until" | "gaps" | "late">>;

const timeOf = (text: string | null | undefined) => (text ? Date.parse(text) : null);

function extent({ indexed_until, gaps = [] }: Extent): Found {
  return { until: timeOf(indexed_until), gaps };
}

/** Rooms that this weir does not have are left out. */
async function roomStates({ from, to }: Range, signal: AbortSignal): Promise<RoomState[]> {
  const time = { start: rfc3339(from), end: rfc3339(to), limit: 1 };
  const asked: [RoomState["room"], () => Promise<Found>][] = [
    ["logs", async () => extent(await request("GET", address("/api/v1/logs/search", time), { signal }))],
    ["spans", async () => extent(await request("GET", address("/api/v1/traces/search", time), { signal }))],
    ["metrics", async () => extent(await request("GET", address("/api/v1/metrics/search", time), { signal }))],
    [
      "alerts",
      async () => {
        const { pipeline } = await request<{ pipeline: Pipeline }>("GET", address("/api/v1/alerts", {}), { signal });
        const late = pipeline.late.map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
        return { until: timeOf(pipeline.evaluated_until), late: pipeline.state === "healthy" ? [] : late.length ? late : [pipeline.state] };
      },
    ],
    [
      "usage",
      async () => {
        const start = rfc3339(Date.now() - 36e5);
        const usage = await request<Usage>("GET", address("/api/v1/usage", { start, by: "tenant", limit: 1 }), { signal });
        return { until: timeOf(usage.complete_until) };
      },
    ],
  ];
  const states = await Promise.all(
    asked.map(async ([room, ask]): Promise<RoomState[]> => {
      const none = { room, until: null, gaps: [], late: [], error: null };
      try {
        return [{ ...none, ...(await ask()) }];
      } catch (error) {
        if (signal.aborted) throw error;
        const { status, detail } = problemOf(error);
        return status === 404 ? [] : [{ ...none, error: detail }];
      }
    }),
  );
  return states.flat();
}

const FILE = "weir_collector_file";
const SOURCE = "weir_collector_source";

/** From what collectors publish; where they publish nothing, from the collector within this process. */
async function ledgers({ from, to }: Range, signal: AbortSignal): Promise<Pick<Health, "collectors" | "files" | "unknown">> {
  const seconds = Math.max(60, Math.min(REMEMBERED, Math.round((to - from) / 1e3)));
  const expressions: Record<keyof Ledgers, string> = {
    up: "weir_collector_up",
    read: `${SOURCE}_read_bytes_total`,
    acknowledged: `${SOURCE}_acknowledged_bytes_total`,
    lost: `${SOURCE}_lost_bytes_total > 0`,
    lately: `increase(${SOURCE}_lost_bytes_total[${seconds}s]) > 0`,
    waiting: `${SOURCE}_waiting_bytes`,
    waited: `${SOURCE}_waiting_time_seconds`,
    files: `${SOURCE}_count`,
    uptime: "weir_collector_uptime_seconds",
    records: "sum by (service_instance_id) (weir_collector_otlp_acknowledged_total)",
    refused: "sum by (service_instance_id) (weir_collector_otlp_refused_total)",
    fileWaiting: `${FILE}_waiting_bytes > 0`,
    fileWaited: `${FILE}_waiting_time_seconds > 0`,
    fileLost: `${FILE}_lost_bytes > 0`,
  };
  const names = Object.keys(expressions) as (keyof Ledgers)[];
  let unknown: string | null = null;
  // A weir without an alerter has no series; every other refusal is told.
  const failed = (error: unknown): [] => {
    if (signal.aborted) throw error;
    const { status, detail } = problemOf(error);
    if (status !== 404) unknown ??= detail;
    return [];
  };
  const answers = await Promise.all(names.map((name) => query(expressions[name], { signal }).catch(failed)));
  const series = Object.fromEntries(names.map((name, at) => [name, answers[at] ?? []])) as Ledgers;
  const collectors = collectorsOf(series);
  if (series.read.length || unknown !== null || !seesAll()) return { collectors, files: filesOf(series), unknown };
  try {
    const asked = address("/api/v1/collector/sources", { tenant: null });
    const { sources, total } = await request<{ sources: Source[]; total: Source }>("GET", asked, { signal });
    const { collector, files } = ofSources(sources, total, collectors.length === 1 ? collectors[0] : undefined);
    return { collectors: collectors.length > 1 ? [...collectors, collector] : [collector], files, unknown };
  } catch (error) {
    failed(error);
    return { collectors, files: [], unknown };
  }
}

/** Files are of many tenants: who may not see all is not told of them. */
function seesAll(): boolean {
  return may("viewer") && (session.value?.user?.tenants.includes("*") ?? false);
}
