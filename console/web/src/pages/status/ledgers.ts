//! Ledgers of collectors, put together from their series. Pure.
import type { Sample } from "../../lib/prom";
import type { Source } from "../../lib/types/status";
import type { CollectorState, FileState } from "./health";

/** Series of one metric of all collectors, by what the page knows them as. */
export type Ledgers = Record<
  "up" | "read" | "acknowledged" | "lost" | "lately" | "waiting" | "waited" | "files" | "uptime" | "records" | "refused" | "fileWaiting" | "fileWaited" | "fileLost",
  Sample[]
>;

const EMPTY: Omit<CollectorState, "id" | "host"> = {
  tenants: [],
  up: null,
  version: "",
  uptime: null,
  files: 0,
  read: 0,
  acknowledged: 0,
  waiting: 0,
  waitingSeconds: 0,
  lost: {},
  lostLately: 0,
  records: null,
  refused: null,
};

/** Each collector once, over the ledgers of all tenants that one may see. */
export function collectorsOf(ledgers: Ledgers): CollectorState[] {
  const all = new Map<string, CollectorState>();
  const of = ({ labels }: Sample): CollectorState => {
    const id = labels["collector"] ?? labels["service_instance_id"] ?? labels["instance"] ?? "";
    const known = all.get(id);
    const host = labels["host"] ?? labels["host_name"] ?? "";
    if (known) {
      known.host ||= host;
      return known;
    }
    const made = { ...EMPTY, tenants: [], lost: {}, id, host };
    all.set(id, made);
    return made;
  };
  for (const sample of ledgers.up) of(sample).up = sample.value > 0;
  for (const sample of ledgers.uptime) {
    const one = of(sample);
    // Of two processes one after the other, the newer one runs.
    if (one.uptime !== null && one.uptime <= sample.value) continue;
    one.uptime = sample.value;
    one.version = sample.labels["service_version"] ?? "";
  }
  for (const sample of ledgers.read) {
    const one = of(sample);
    one.read += sample.value;
    const tenant = sample.labels["tenant"];
    if (tenant && !one.tenants.includes(tenant)) one.tenants.push(tenant);
  }
  for (const sample of ledgers.acknowledged) of(sample).acknowledged += sample.value;
  for (const sample of ledgers.waiting) of(sample).waiting += sample.value;
  for (const sample of ledgers.waited) of(sample).waitingSeconds = Math.max(of(sample).waitingSeconds, sample.value);
  for (const sample of ledgers.files) of(sample).files += sample.value;
  for (const sample of ledgers.records) of(sample).records = (of(sample).records ?? 0) + sample.value;
  for (const sample of ledgers.refused) of(sample).refused = (of(sample).refused ?? 0) + sample.value;
  for (const sample of ledgers.lost) {
    if (sample.value <= 0) continue;
    const { lost } = of(sample);
    const reason = sample.labels["reason"] ?? "";
    lost[reason] = (lost[reason] ?? 0) + sample.value;
  }
  for (const sample of ledgers.lately) {
    const one = of(sample);
    one.lostLately = (one.lostLately ?? 0) + Math.round(sample.value);
  }
  return [...all.values()].sort((a, b) => a.host.localeCompare(b.host, "en", { numeric: true }) || a.id.localeCompare(b.id));
}

/** Files that wait or have lost something, of all collectors. */
export function filesOf(ledgers: Ledgers): FileState[] {
  const all = new Map<string, FileState>();
  const of = ({ labels }: Sample): FileState => {
    const collector = labels["service_instance_id"] ?? labels["instance"] ?? "";
    const [path, tenant] = [labels["log_file_path"] ?? "", labels["tenant"] ?? ""];
    const key = JSON.stringify([collector, path, tenant]);
    let known = all.get(key);
    if (!known) {
      known = { collector, host: labels["host_name"] ?? "", tenant, path, waiting: 0, waitingSeconds: 0, lost: {} };
      all.set(key, known);
    }
    return known;
  };
  for (const sample of ledgers.fileWaiting) of(sample).waiting = sample.value;
  for (const sample of ledgers.fileWaited) of(sample).waitingSeconds = sample.value;
  for (const sample of ledgers.fileLost) if (sample.value > 0) of(sample).lost[sample.labels["reason"] ?? ""] = sample.value;
  return [...all.values()].filter((file) => file.waiting > 0 || Object.keys(file.lost).length > 0);
}

/** What a collector that publishes no ledger says itself: of the process that one asks. */
export function ofSources(sources: Source[], total: Source, collector: CollectorState | undefined): { collector: CollectorState; files: FileState[] } {
  const { id, host } = collector ?? { id: "", host: "" };
  const files = sources
    .filter((source) => source.waiting > 0 || Object.keys(source.lost).length > 0)
    .map(({ path, waiting, waiting_seconds, lost }) => ({ collector: id, host, tenant: "", path, waiting, waitingSeconds: waiting_seconds, lost }));
  return {
    collector: {
      ...EMPTY,
      ...collector,
      id,
      host,
      files: total.files,
      read: total.seen,
      acknowledged: total.acknowledged,
      waiting: total.waiting,
      waitingSeconds: total.waiting_seconds,
      lost: total.lost,
      lostLately: null,
    },
    files,
  };
}
