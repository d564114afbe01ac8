//! Whether weir itself is healthy: what is late, missing, waiting or lost, the worst first. Pure.
import type { Gap, RoleState } from "../../lib/types/status";

/** Up to when a room has read what the bus holds. */
export interface RoomState {
  room: "logs" | "spans" | "metrics" | "alerts" | "usage";
  /** Milliseconds since 1970; null where it has read nothing yet. */
  until: number | null;
  gaps: Gap[];
  /** What it waits for, where it says so. */
  late: string[];
  /** Why it could not be asked. */
  error: string | null;
}

/** A file of which something waits or is lost. */
export interface FileState {
  collector: string;
  host: string;
  tenant: string;
  path: string;
  waiting: number;
  waitingSeconds: number;
  lost: Record<string, number>;
}

export interface CollectorState {
  id: string;
  host: string;
  tenants: string[];
  /** Null where nobody says. */
  up: boolean | null;
  version: string;
  uptime: number | null;
  files: number;
  read: number;
  acknowledged: number;
  waiting: number;
  waitingSeconds: number;
  /** Bytes by reason, since its ledger began. */
  lost: Record<string, number>;
  /** Of these, in the time that the page shows; null where that is not known. */
  lostLately: number | null;
  /** Records taken over OTLP, and requests refused. */
  records: number | null;
  refused: number | null;
}

export interface Health {
  roles: RoleState[];
  rooms: RoomState[];
  collectors: CollectorState[];
  files: FileState[];
  /** Why not everything is known of collectors; null where it is. */
  unknown: string | null;
}

export type Finding =
  | { kind: "role_away"; role: string; error: string }
  | { kind: "role_waits"; role: string; part: string; why: string }
  | { kind: "role_degraded"; role: string; part: string; why: string }
  | { kind: "room_error"; room: RoomState["room"]; error: string }
  | { kind: "room_late"; room: RoomState["room"]; until: number; late: string }
  | { kind: "room_nothing"; room: RoomState["room"] }
  | { kind: "gap"; room: RoomState["room"]; records: number | null; gaps: number }
  | { kind: "collectors_error"; error: string }
  | { kind: "collector_down"; host: string; id: string }
  | { kind: "lost"; host: string; bytes: number; reasons: string[]; lately: boolean }
  | { kind: "waits"; host: string; bytes: number; seconds: number }
  | { kind: "versions"; versions: string };

/** Later than this is told: reading, sealing and watermarks take some seconds. */
const LATE_MS = 60e3;
/** Bytes that wait for less are on their way. */
const WAITS_SECONDS = 10;

const BAD: Finding["kind"][] = ["role_away", "room_error", "collectors_error", "gap", "collector_down", "lost"];

export function isBad(finding: Finding): boolean {
  return BAD.includes(finding.kind) && !(finding.kind === "lost" && !finding.lately);
}

/** All that is wrong, the worst first. */
export function findings(health: Health, now: number): Finding[] {
  const found = [
    ...health.roles.flatMap(ofRole),
    ...health.rooms.flatMap((room) => ofRoom(room, now)),
    ...(health.unknown === null ? [] : [{ kind: "collectors_error" as const, error: health.unknown }]),
    ...health.collectors.flatMap(ofCollector),
    ...ofVersions(health.collectors),
  ];
  return found.sort((a, b) => Number(isBad(b)) - Number(isBad(a)));
}

function ofRole(role: RoleState): Finding[] {
  if (!role.reachable) return [{ kind: "role_away", role: role.role, error: role.error ?? "" }];
  const waits = Object.entries(role.waiting_for).map(([part, why]): Finding => ({ kind: "role_waits", role: role.role, part, why }));
  const degraded = Object.entries(role.degraded).map(([part, why]): Finding => ({ kind: "role_degraded", role: role.role, part, why }));
  return [...waits, ...degraded];
}

function ofRoom({ room, until, gaps, late, error }: RoomState, now: number): Finding[] {
  if (error !== null) return [{ kind: "room_error", room, error }];
  const found: Finding[] = [];
  if (gaps.length) {
    const known = gaps.map((gap) => gap.records);
    const records = known.every((one) => one !== null) ? known.reduce((sum, one) => sum + (one ?? 0), 0) : null;
    found.push({ kind: "gap", room, records, gaps: gaps.length });
  }
  if (until === null) found.push({ kind: "room_nothing", room });
  else if (late.length || now - until > LATE_MS) found.push({ kind: "room_late", room, until, late: late.join(", ") });
  return found;
}

function ofCollector(one: CollectorState): Finding[] {
  const { host, id } = one;
  const found: Finding[] = [];
  if (one.up === false) found.push({ kind: "collector_down", host, id });
  const bytes = sum(one.lost);
  const reasons = Object.keys(one.lost).filter((reason) => (one.lost[reason] ?? 0) > 0);
  if (one.lostLately !== null && one.lostLately > 0) found.push({ kind: "lost", host, bytes: one.lostLately, reasons, lately: true });
  else if (bytes > 0) found.push({ kind: "lost", host, bytes, reasons, lately: false });
  if (one.waiting > 0 && one.waitingSeconds > WAITS_SECONDS) {
    found.push({ kind: "waits", host, bytes: one.waiting, seconds: one.waitingSeconds });
  }
  return found;
}

function ofVersions(collectors: CollectorState[]): Finding[] {
  const counts = new Map<string, number>();
  for (const { version } of collectors) if (version) counts.set(version, (counts.get(version) ?? 0) + 1);
  if (counts.size < 2) return [];
  const versions = [...counts].sort((a, b) => b[1] - a[1]).map(([version, count]) => `${version} (${count})`);
  return [{ kind: "versions", versions: versions.join(", ") }];
}

/** Up to when every room has read everything; null where one has read nothing, or is not known. */
export function readUntil(rooms: RoomState[]): number | null {
  const known = rooms.filter((room) => room.error === null).map((room) => room.until);
  if (!known.length || known.some((until) => until === null)) return null;
  return Math.min(...known.map((until) => until ?? 0));
}

export function sum(of: Record<string, number>): number {
  return Object.values(of).reduce((sum, value) => sum + value, 0);
}

/** What has waited the longest first, then what has lost the most. */
export function oldestFirst(files: FileState[]): FileState[] {
  return [...files].sort((a, b) => b.waitingSeconds - a.waitingSeconds || sum(b.lost) - sum(a.lost) || a.path.localeCompare(b.path));
}
