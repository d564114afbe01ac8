//! One rule: its expression over time, its alerts, and what it is made of.
import { useMemo } from "preact/hooks";
import { ms } from "../../lib/format";
import { ago, now, range } from "../../lib/time";
import type { Alert, Rule, RuleGroup } from "../../lib/types/alerts";
import { here, set } from "../../lib/url";
import { LongText } from "../../ui/LongText";
import { Badge, CopyButton, Empty, IconButton } from "../../ui/parts";
import { list, stateTone, summary } from "./alert";
import { keepFile } from "./draft";
import { RuleChart, stretchOf } from "./RuleChart";
import { w } from "./words";

const MOST_ALERTS = 50;

export function RuleDetail({ open, alerts }: { open: { group: RuleGroup; rule: Rule } | undefined; alerts: Alert[] }) {
  return (
    <section class="al-detail panel" aria-label={open?.rule.name ?? w.rule()}>
      <header class="panel-head">
        <h2 class="ellipsis">{open?.rule.name ?? w.rule()}</h2>
        <div class="panel-actions">
          {open && (
            <a class="btn" href={here({ replay: "true", rule: null })} onClick={() => keepFile(open.group, open.rule)}>
              {w.replay_this()}
            </a>
          )}
          <IconButton icon="close" label={w.close()} onClick={() => set({ rule: null })} />
        </div>
      </header>
      {open ? <Known {...open} alerts={alerts} /> : <Empty>{w.rule_not_there()}</Empty>}
    </section>
  );
}

function Known({ group, rule, alerts }: { group: RuleGroup; rule: Rule; alerts: Alert[] }) {
  const own = useMemo(() => list(alerts.filter((alert) => alert.rule === rule.name && alert.group === group.name && alert.file === group.file && alert.expr === rule.expr)), [alerts, rule, group]);
  const { from, to } = stretchOf(now.value, range.value.to);
  const facts = [
    rule.type === "recording" ? w.recording() : w.alerting(),
    rule.for_seconds > 0 && w.hold({ time: ms(rule.for_seconds * 1e3) }),
    rule.keep_firing_for_seconds > 0 && w.keep({ time: ms(rule.keep_firing_for_seconds * 1e3) }),
    w.every({ n: group.interval_seconds }),
    `${group.file.split("/").at(-1) ?? group.file} ${w.line({ n: rule.line })}`,
  ];
  return (
    <div class="panel-body stack">
      <p class="faint" title={group.file}>
        {facts.filter(Boolean).join(" · ")}
      </p>
      {rule.error && (
        <div class="problem" role="alert">
          <LongText text={rule.error} />
        </div>
      )}
      <RuleChart rule={rule} from={from} to={to} height={200} />
      <div class="al-expr">
        <code>
          <LongText text={rule.expr} />
        </code>
        <CopyButton text={rule.expr} />
      </div>
      {own.length > 0 && (
        <div>
          <h3>{w.current()}</h3>
          {own.slice(0, MOST_ALERTS).map((one) => (
            <a key={one.id} class="al-line" href={here({ tab: null, rule: null, q: null, alert: one.id })}>
              <Badge tone={stateTone(one.state)}>{w[one.state]()}</Badge>
              <span class="ellipsis">{summary(one.alert).slice(0, 300)}</span>
              <span class="faint nowrap">{ago(one.since)}</span>
            </a>
          ))}
          {own.length > MOST_ALERTS && (
            <a href={here({ tab: null, rule: null, q: `alertname=${rule.name}` })}>{w.and_more({ n: own.length - MOST_ALERTS })}</a>
          )}
        </div>
      )}
    </div>
  );
}
