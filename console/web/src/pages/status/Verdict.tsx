//! One sentence: all is well, or what is wrong.
import { bytes, count, ms } from "../../lib/format";
import { now, shortClock } from "../../lib/time";
import { findings, isBad, readUntil, type Finding, type Health } from "./health";
import { reasonText } from "./reason";
import { w } from "./words";

/** Findings that are listed. */
const MOST = 12;
/** Characters of an error. */
const LONG = 400;

export function Verdict({ health }: { health: Health }) {
  const found = findings(health, now.value);
  const until = readUntil(health.rooms);
  const bad = found.filter(isBad).length;
  const at = until === null ? "" : shortClock(until);
  const tone = bad ? "bad" : found.length ? "warn" : "ok";
  const counts = { bad: count(bad), warn: count(found.length - bad), at };
  const sentence = found.length ? w[bad ? "wrong" : "warned"](counts) : at ? w.well(counts) : w.well_unknown();
  return (
    <div class={`status-verdict status-verdict-${tone}`} role={bad ? "alert" : "status"}>
      <span class="status-sign" aria-hidden="true">
        {{ ok: "✓", warn: "!", bad: "✗" }[tone]}
      </span>
      <div class="grow">
        <strong>{found.length === 1 && found[0] ? findingText(found[0]) : sentence}</strong>
        {found.length > 0 && at && <span class="status-else">{w.rest({ at })}</span>}
        {found.length > 1 && (
          <ul>
            {found.slice(0, MOST).map((finding, index) => (
              <li key={index} class={isBad(finding) ? "tone-bad" : "tone-warn"}>
                {findingText(finding)}
              </li>
            ))}
            {found.length > MOST && <li class="faint">{w.more({ n: found.length - MOST })}</li>}
          </ul>
        )}
      </div>
    </div>
  );
}

function findingText(finding: Finding): string {
  switch (finding.kind) {
    case "role_away":
      return w.role_away({ role: finding.role, error: finding.error.slice(0, LONG) });
    case "role_waits":
      return w.role_waits({ role: finding.role, part: finding.part, why: finding.why.slice(0, LONG) });
    case "role_degraded":
      return w.role_degraded({ role: finding.role, part: finding.part, why: finding.why.slice(0, LONG) });
    case "room_error":
      return w.room_error({ room: w[finding.room](), error: finding.error.slice(0, LONG) });
    case "collectors_error":
      return w.collectors_error({ error: finding.error.slice(0, LONG) });
    case "room_late":
      return w.room_late({ room: w[finding.room](), at: shortClock(finding.until), lag: ms(Math.max(0, now.value - finding.until)), late: finding.late.slice(0, LONG) });
    case "room_nothing":
      return w.room_nothing({ room: w[finding.room]() });
    case "gap":
      return w.gap({ room: w[finding.room](), gaps: finding.gaps, records: finding.records === null ? w.records_unknown() : count(finding.records) });
    case "collector_down":
      return w.collector_down({ host: finding.host || finding.id });
    case "lost": {
      const told = { host: finding.host, bytes: bytes(finding.bytes), reasons: finding.reasons.map(reasonText).join(", ") };
      return finding.lately ? w.lost_lately(told) : w.lost_before(told);
    }
    case "waits":
      return w.waits({ host: finding.host, bytes: bytes(finding.bytes), time: ms(finding.seconds * 1e3) });
    case "versions":
      return w.versions({ versions: finding.versions });
  }
}
