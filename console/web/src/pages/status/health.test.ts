import assert from "node:assert/strict";
import { test } from "node:test";
import { findings, isBad, oldestFirst, readUntil, type CollectorState, type Health, type RoomState } from "./health";
import { collectorsOf, filesOf, ofSources, type Ledgers } from "./ledgers";

const NOW = Date.parse("2026-11-30T14:00:00Z");
const room = (changes: Partial<RoomState>): RoomState => ({ room: "logs", until: NOW - 2e3, gaps: [], late: [], error: null, ...changes });
const collector = (changes: Partial<CollectorState>): CollectorState => ({
  id: "a",
  host: "node-1",
  tenants: [],
  up: true,
  version: "1",
  uptime: 9,
  files: 1,
  read: 5,
  acknowledged: 5,
  waiting: 0,
  waitingSeconds: 0,
  lost: {},
  lostLately: 0,
  records: null,
  refused: null,
  ...changes,
});
const role = { role: "usage", url: null, reachable: true, ready: true, waiting_for: {}, degraded: {}, version: "1", error: null };
const health = (changes: Partial<Health>): Health => ({ roles: [role], rooms: [room({})], collectors: [collector({})], files: [], unknown: null, ...changes });
const kinds = (changes: Partial<Health>) => findings(health(changes), NOW).map((finding) => finding.kind);

test("where everything is well nothing is found, and it is known up to when", () => {
  assert.deepEqual(kinds({}), []);
  assert.equal(readUntil([room({}), room({ until: NOW - 9e3 })]), NOW - 9e3);
  assert.equal(readUntil([room({}), room({ until: null })]), null);
  assert.equal(readUntil([room({ error: "away" })]), null);
  assert.deepEqual(kinds({ collectors: [collector({ waiting: 500, waitingSeconds: 3 })] }), [], "it is on its way");
});

test("each thing that is wrong is found, and what is lost comes before what is late", () => {
  assert.deepEqual(kinds({ roles: [{ ...role, reachable: false, error: "refused" }] }), ["role_away"]);
  assert.deepEqual(kinds({ roles: [{ ...role, ready: false, waiting_for: { bus: "away" }, degraded: { prices: "file" } }] }), ["role_waits", "role_degraded"]);
  assert.deepEqual(kinds({ rooms: [room({ error: "503" }), room({ until: null }), room({ until: NOW - 61e3 }), room({ late: ["collector of b"] })] }), [
    "room_error",
    "room_nothing",
    "room_late",
    "room_late",
  ]);
  assert.deepEqual(kinds({ collectors: [collector({ waiting: 5, waitingSeconds: 11 }), collector({ up: false }), collector({ lost: { deleted: 3 }, lostLately: 3 })] }), [
    "collector_down",
    "lost",
    "waits",
  ]);
  const gap = { start: null, end: null, partition: 0, reason: "dropped", records: 7 };
  assert.deepEqual(findings(health({ rooms: [room({ gaps: [gap, gap] })] }), NOW), [{ kind: "gap", room: "logs", records: 14, gaps: 2 }]);
  assert.deepEqual(findings(health({ rooms: [room({ gaps: [gap, { ...gap, records: null }] })] }), NOW), [{ kind: "gap", room: "logs", records: null, gaps: 2 }]);
});

test("where collectors cannot be asked, nobody says that nothing is lost", () => {
  assert.deepEqual(kinds({ collectors: [], unknown: "too many queries" }), ["collectors_error"]);
});

test("what was lost long ago is told, but is no alarm", () => {
  const [finding] = findings(health({ collectors: [collector({ lost: { deleted: 3, truncated: 0 } })] }), NOW);
  assert.deepEqual(finding, { kind: "lost", host: "node-1", bytes: 3, reasons: ["deleted"], lately: false });
  assert.equal(finding && isBad(finding), false);
});

test("collectors of different versions are flagged", () => {
  const found = findings(health({ collectors: [collector({}), collector({ id: "b", version: "2" }), collector({ id: "c" }), collector({ id: "d", version: "" })] }), NOW);
  assert.deepEqual(found, [{ kind: "versions", versions: "1 (2), 2 (1)" }]);
});

const NONE: Ledgers = {
  up: [], read: [], acknowledged: [], lost: [], lately: [], waiting: [], waited: [], files: [], uptime: [], records: [], refused: [], fileWaiting: [], fileWaited: [], fileLost: [],
};
const sample = (value: number, labels: Record<string, string>) => ({ value, labels });

test("a collector's ledgers of several tenants are one", () => {
  const own = { service_instance_id: "a", host_name: "node-1" };
  const [one, other, ...rest] = collectorsOf({
    ...NONE,
    up: [sample(1, { collector: "a", host: "node-1" }), sample(0, { collector: "b", host: "node-2" })],
    read: [sample(10, { ...own, tenant: "acme" }), sample(5, { ...own, tenant: "globex" })],
    waited: [sample(3, own), sample(1, own)],
    uptime: [sample(900, { ...own, service_version: "1" }), sample(20, { ...own, service_version: "2" })],
    lost: [sample(4, { ...own, reason: "deleted" }), sample(0, { ...own, reason: "truncated" }), sample(1, { ...own, reason: "deleted" })],
    lately: [sample(4.0001, own)],
  });
  assert.deepEqual([one?.read, one?.tenants, one?.waitingSeconds, one?.version, one?.uptime], [15, ["acme", "globex"], 3, "2", 20]);
  assert.deepEqual([one?.lost, one?.lostLately, one?.up], [{ deleted: 5 }, 4, true]);
  assert.deepEqual([other?.host, other?.up, other?.version, rest.length], ["node-2", false, "", 0]);
});

test("files that wait the longest come first", () => {
  const file = (path: string) => ({ log_file_path: path, service_instance_id: "a", host_name: "h", tenant: "t" });
  const files = filesOf({
    ...NONE,
    fileWaiting: [sample(5, file("/a")), sample(9, file("/b")), sample(0, file("/gone"))],
    fileWaited: [sample(20, file("/a")), sample(90, file("/b")), sample(0, file("/gone"))],
    fileLost: [sample(7, { ...file("/c"), reason: "deleted" }), sample(2, { ...file("/c"), reason: "truncated" })],
  });
  assert.deepEqual(oldestFirst(files).map((one) => [one.path, one.lost]), [["/b", {}], ["/a", {}], ["/c", { deleted: 7, truncated: 2 }]]);
});

test("a collector without series is known by what it says itself", () => {
  const total = { path: "", files: 2, seen: 9, acknowledged: 4, waiting: 3, waiting_seconds: 12, lost: { deleted: 2 } };
  const { collector: one, files } = ofSources([{ ...total, path: "/a" }, { ...total, path: "/b", waiting: 0, lost: {} }], total, collector({ id: "x" }));
  assert.deepEqual([one.id, one.read, one.waitingSeconds, one.lostLately, one.up], ["x", 9, 12, null, true]);
  assert.deepEqual(files.map((file) => file.path), ["/a"]);
});
