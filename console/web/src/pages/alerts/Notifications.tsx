//! All that was sent, to whom, and how it went.
import { useMemo } from "preact/hooks";
import { count, ms } from "../../lib/format";
import { asked, bounds, clock, isLive, now } from "../../lib/time";
import type { Notification } from "../../lib/types/alerts";
import { here, param, set } from "../../lib/url";
import { Badge, Empty, ProblemBox } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { usePages } from "../../ui/usePages";
import { wordsOf } from "./alert";
import { notifications, OutcomeBadge } from "./Sent";
import { w } from "./words";

export function NotificationsTab() {
  const moved = isLive.value ? now.value : 0;
  const time = bounds.value;
  const sent = usePages(["notifications", asked.value, param("tenant")], moved, async (cursor, signal) => {
    const { notifications: rows, next_cursor: next } = await notifications({ ...time, limit: 200, cursor }, signal);
    return { rows, next };
  });
  const filter = param("q");
  const rows = useMemo(() => {
    const words = wordsOf(filter);
    const text = (one: Notification) => `${JSON.stringify(one.group)} ${one.alerts.map((alert) => JSON.stringify(alert.labels)).join(" ")} ${one.receiver} ${one.integration} ${one.error ?? ""}`.toLowerCase().replaceAll('"', "").replaceAll(":", "=");
    return words.length ? sent.rows?.filter((one) => words.every((word) => text(one).includes(word))) : sent.rows;
  }, [sent.rows, filter]);
  if (sent.problem?.status === 404) return <Empty>{w.sent_unknown()}</Empty>;
  return (
    <div class="page">
      <div class="row al-tools" role="search">
        <input class="input grow" data-query type="search" spellcheck={false} aria-label={w.filter_about()} placeholder={w.notifications_filter()} value={filter} onInput={(event) => set({ q: event.currentTarget.value }, true)} />
      </div>
      {sent.problem && <ProblemBox problem={sent.problem} retry={sent.reload} />}
      {sent.isOld && (
        <p class="faint row">
          {w.stands_still()}
          <button class="btn" type="button" onClick={sent.reload}>
            {w.show_newest()}
          </button>
        </p>
      )}
      {rows && (
        <section class="panel panel-flush">
          <Table
            label={w.notifications_list()}
            columns={columns()}
            rows={rows}
            keyOf={(one) => `${one.time} ${one.receiver} ${one.integration} ${JSON.stringify(one.group)}`}
            sort="-time"
            tone={(one) => (one.outcome === "refused" ? "bad" : one.outcome === "failed" ? "warn" : undefined)}
            empty={<Empty>{filter ? w.notifications_match_none() : w.notifications_none()}</Empty>}
          />
        </section>
      )}
      {sent.more && (
        <button class="btn al-more" type="button" disabled={sent.loading} onClick={sent.more}>
          {w.more()}
        </button>
      )}
    </div>
  );
}

function groupText(group: Notification["group"]): string {
  return Object.entries(group).map(([name, value]) => (name === "alertname" ? value : `${name}=${value}`)).join(" ");
}

function columns(): Column<Notification>[] {
  return [
    { key: "time", head: w.time(), width: "170px", cell: ({ time }) => clock(time, 0), sort: ({ time }) => Date.parse(time) },
    { key: "outcome", head: w.outcome(), width: "90px", cell: (one) => <OutcomeBadge of={one} />, sort: ({ outcome }) => outcome },
    {
      key: "alert",
      head: w.alert(),
      cell: ({ group }) => (
        <a href={here({ tab: null, q: group.alertname ? `alertname=${group.alertname}` : null })} title={groupText(group).slice(0, 1000)}>
          {groupText(group).slice(0, 160) || "–"}
        </a>
      ),
      sort: ({ group }) => groupText(group),
    },
    { key: "status", head: w.status(), cell: ({ status }) => <Badge tone={status === "resolved" ? "ok" : "bad"}>{status === "resolved" ? w.resolved() : w.firing()}</Badge>, sort: ({ status }) => status },
    { key: "alerts", head: w.alert_count(), align: "right", cell: ({ alerts_total: total }) => count(total), sort: ({ alerts_total: total }) => total, wide: true },
    { key: "receiver", head: w.receiver(), cell: ({ receiver }) => receiver.slice(0, 80), sort: ({ receiver }) => receiver },
    { key: "integration", head: w.integration(), cell: ({ integration }) => integration, sort: ({ integration }) => integration, wide: true },
    { key: "took", head: w.took(), align: "right", cell: (one) => `${ms(one.duration_ms)}${one.attempts > 1 ? ` · ${w.attempts({ n: one.attempts })}` : ""}`, sort: ({ duration_ms }) => duration_ms, wide: true },
    { key: "error", head: w.error(), cell: ({ error }) => error && <span class="tone-bad" title={error.slice(0, 4096)}>{error.slice(0, 48)}</span>, wide: true },
  ];
}
