//! What was sent about an alert, to whom, and whether it arrived.
import { address, request } from "../../lib/api";
import { useData } from "../../lib/data";
import { ms } from "../../lib/format";
import type { Labels } from "../../lib/prom";
import { clock, now, shortClock } from "../../lib/time";
import type { Notification, Notifications } from "../../lib/types/alerts";
import { Badge, ProblemBox } from "../../ui/parts";
import { w } from "./words";

export interface SentQuery {
  alertname?: string;
  start?: string;
  end?: string;
  limit?: number;
  cursor?: string;
}

export function notifications(asked: SentQuery, signal?: AbortSignal): Promise<Notifications> {
  return request<Notifications>("GET", address("/api/v1/notifications", asked), { signal });
}

/** Whether a notification is about an alert: it lists it, or, where it does not list all, its group has the same labels. */
function isAbout({ alerts, alerts_total: total, group }: Notification, labels: Labels): boolean {
  const same = (other: Labels) => Object.entries(other).every(([name, value]) => labels[name] === value);
  return alerts.some((alert) => same(alert.labels)) || (total > alerts.length && same(group));
}

const TONES = { sent: "ok", failed: "warn", refused: "bad", suppressed: "idle" } as const;

export function OutcomeBadge({ of: { outcome, error } }: { of: Notification }) {
  return (
    <Badge tone={TONES[outcome] ?? "idle"} title={error?.slice(0, 2000)}>
      {outcome in TONES ? w[`outcome_${outcome}`]() : outcome}
    </Badge>
  );
}

export function Sent({ alertname, labels }: { alertname: string; labels: Labels }) {
  const sent = useData(["sent", alertname, Math.floor(now.value / 15e3)], (signal) => notifications({ alertname, limit: 100 }, signal));
  const own = sent.data?.notifications.filter((one) => isAbout(one, labels)).slice(0, 10) ?? [];
  return (
    <div>
      <h3>{w.sent()}</h3>
      {sent.problem?.status === 404 && <p class="faint">{w.sent_unknown()}</p>}
      {sent.problem && sent.problem.status !== 404 && <ProblemBox problem={sent.problem} retry={sent.reload} />}
      {sent.data && !own.length && <p class="faint">{w.sent_none()}</p>}
      <ul class="al-sent">
        {own.map((one) => (
          <li key={`${one.time} ${one.receiver} ${one.integration}`}>
            <time title={clock(one.time)}>{shortClock(one.time)}</time>
            <OutcomeBadge of={one} />
            <span class="ellipsis">
              {one.receiver} · {one.integration} · {one.status === "resolved" ? w.resolved() : w.firing()}
              {one.error && <span class="tone-bad"> {one.error.slice(0, 300)}</span>}
            </span>
            <span class="faint nowrap">
              {ms(one.duration_ms)}
              {one.attempts > 1 && ` · ${w.attempts({ n: one.attempts })}`}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
