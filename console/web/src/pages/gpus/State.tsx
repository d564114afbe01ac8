//! What is wrong with a GPU, and what is to be done about it.
import { Badge } from "../../ui/parts";
import { isMeasured, type Gpu } from "./fleet";
import { w } from "./words";

/** A text for a name that comes from data, where there is one. */
function known(prefix: "why_" | "reason_", name: string): string {
  const text = (w as Record<string, (() => string) | undefined>)[`${prefix}${name}`];
  return text ? text() : name.slice(0, 80);
}

export function GpuBadges({ gpu }: { gpu: Gpu }) {
  const { failed, idle, throttled } = gpu;
  return (
    <span class="gp-badges">
      {failed.length > 0 && (
        <Badge tone="bad" title={failed.map((why) => known("why_", why)).join("; ")}>
          {w.failed()}
        </Badge>
      )}
      {idle && (
        <Badge tone="warn" title={w.idle_about()}>
          {w.idle_short()}
        </Badge>
      )}
      {throttled.length > 0 && (
        <Badge tone="warn" title={throttled.map((reason) => known("reason_", reason)).join("; ")}>
          {w.throttled()}
        </Badge>
      )}
      {isMeasured(gpu) && !failed.length && !idle && !throttled.length && <Badge tone="ok">{w.ok()}</Badge>}
    </span>
  );
}

/** The same in sentences, with the XIDs of the last hour. */
export function GpuFaults({ gpu }: { gpu: Gpu }) {
  const { failed, idle, throttled, xids } = gpu;
  if (!failed.length && !idle && !throttled.length && !xids.length) return null;
  return (
    <ul class="gp-faults">
      {failed.map((why) => (
        <li key={why}>
          <Badge tone="bad">{w.failed()}</Badge> {known("why_", why)}
        </li>
      ))}
      {idle && (
        <li>
          <Badge tone="warn">{w.idle()}</Badge> {w.idle_about()}
        </li>
      )}
      {throttled.map((reason) => (
        <li key={reason}>
          <Badge tone="warn">{w.throttled()}</Badge> {known("reason_", reason)}
        </li>
      ))}
      {xids.map(({ xid, policy, count }) => (
        <li key={xid}>
          <Badge tone="info">{w.xid({ xid })}</Badge> {w.xid_times({ n: count })} · {known("why_", policy)}
        </li>
      ))}
    </ul>
  );
}
