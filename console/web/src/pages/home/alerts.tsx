//! What fires now, in a sentence, with the three ways to look into it.
import type { Alert } from "../../lib/types/alerts";
import { term } from "../../lib/lucene";
import { ms } from "../../lib/format";
import { now, rfc3339 } from "../../lib/time";
import { href } from "../../lib/url";
import { Badge } from "../../ui/parts";
import { w } from "./words";

/** Alerts in the list; the rest is on the page of alerts. */
const SHOWN = 6;

export function Alerts({ alerts }: { alerts: Alert[] }) {
  const firing = alerts.filter((alert) => alert.state === "firing" && alert.status.state === "active");
  const pending = alerts.filter((alert) => alert.state === "pending");
  const lead = firing.length === 0 ? w.calm() : firing.length === 1 ? w.firing_one() : w.firing({ n: firing.length });
  return (
    <section class={`home-alerts ${firing.length ? "home-alerts-bad" : ""}`} aria-live="polite">
      <header class="row">
        <h2 class={firing.length ? "tone-bad" : "tone-ok"}>{lead}</h2>
        {pending.length > 0 && <Badge tone="warn">{w.pending({ n: pending.length })}</Badge>}
        <span class="grow" />
        <a href={href("/alerts")}>{w.all_alerts()}</a>
      </header>
      {firing.slice(0, SHOWN).map((alert) => (
        <Firing key={JSON.stringify(alert.labels)} alert={alert} />
      ))}
    </section>
  );
}

function Firing({ alert }: { alert: Alert }) {
  const { labels, annotations, rule } = alert;
  const since = alert.fired_at ?? alert.active_at;
  const { service, interface: name, tenant } = labels;
  // From a little before it was noticed.
  const start = rfc3339(new Date(alert.active_at).getTime() - 3e5);
  return (
    <div class="home-alert">
      <Badge tone="bad">{labels.severity ?? rule}</Badge>
      <div class="grow">
        <a class="home-alert-what" href={href("/alerts", { q: rule })}>
          {annotations.summary ?? annotations.description ?? rule}
        </a>
        <div class="faint">
          {rule} · {w.since({ length: ms(Math.max(0, now.value - new Date(since).getTime())) })}
        </div>
      </div>
      <div class="row">
        {name && (
          <a class="btn" href={href("/interfaces", { service, interface: name, tenant, start, end: null })}>
            {w.interface()}
          </a>
        )}
        {service && (
          <a class="btn" href={href("/traces", { service, interface: name, tenant, sort: "duration", start, end: null })}>
            {w.slow_traces()}
          </a>
        )}
        {service && (
          <a class="btn" href={href("/logs", { query: `${term("service", service)} AND severity:>=warn`, tenant, start, end: null })}>
            {w.log_lines()}
          </a>
        )}
      </div>
    </div>
  );
}
