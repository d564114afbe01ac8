//! One alert: what it says, its values against the threshold, where to look, and who was told.
import { useMemo } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { ms } from "../../lib/format";
import { may } from "../../lib/session";
import { clock, now, range, shortClock } from "../../lib/time";
import type { Alert, Rules, Silence } from "../../lib/types/alerts";
import { here, href, param, set } from "../../lib/url";
import { LongText } from "../../ui/LongText";
import { Badge, CopyButton, Empty, IconButton } from "../../ui/parts";
import { type Listed, severityTone, stateTone, summary } from "./alert";
import { silenceOf } from "./Active";
import { linksOf } from "./links";
import { RuleChart, stretchOf } from "./RuleChart";
import { Sent } from "./Sent";
import { valueText } from "./value";
import { ruleKey } from "./ruleKey";
import { w } from "./words";

export function Detail({ one }: { one: Listed | undefined }) {
  return (
    <section class="al-detail panel" aria-label={one?.alert.rule ?? w.alert()}>
      {one ? (
        <Known one={one} />
      ) : (
        <>
          <header class="panel-head">
            <h2>{w.alert()}</h2>
            <CloseDetail />
          </header>
          <Empty action={<a class="btn" href={here({ tab: "history", alert: null })}>{w.to_history()}</a>}>{w.not_there()}</Empty>
        </>
      )}
    </section>
  );
}

function CloseDetail() {
  return <IconButton icon="close" label={w.close()} onClick={() => set({ alert: null })} />;
}

function Known({ one }: { one: Listed }) {
  const { alert, state } = one;
  const { severity } = alert.labels;
  return (
    <>
      <header class="panel-head">
        <div class="row al-title">
          <Badge tone={stateTone(state)}>{w[state]()}</Badge>
          {severity && <Badge tone={severityTone(severity)}>{severity.slice(0, 24)}</Badge>}
          <h2 class="ellipsis">{alert.rule}</h2>
        </div>
        <div class="panel-actions">
          {may("operator") && state !== "resolved" && (
            <a class="btn" href={here({ silence: silenceOf(one) })}>
              {w.new_silence()}
            </a>
          )}
          <CloseDetail />
        </div>
      </header>
      <div class="panel-body">
        <AlertBody one={one} />
      </div>
    </>
  );
}

/** What an alert says and shows, of now or of the past. */
export function AlertBody({ one }: { one: Listed }) {
  const { alert, state } = one;
  return (
    <div class="stack">
      <div>
        <p class="al-summary">
          <LongText text={summary(alert)} />
        </p>
        <p class="faint">
          {w.for_time({ state: w[state](), time: ms(Math.max(0, now.value - one.since)) })} · {clock(one.since, 0)} · {w.value()} <b>{valueText(alert.value, alert.expr)}</b>
        </p>
      </div>
      <Links alert={alert} />
      <HeldBack alert={alert} />
      <AlertChart alert={alert} />
      <Texts alert={alert} />
      <Sent alertname={alert.labels.alertname ?? alert.rule} labels={alert.labels} />
    </div>
  );
}

function Links({ alert }: { alert: Alert }) {
  const from = Date.parse(alert.active_at);
  const to = alert.resolved_at ? Date.parse(alert.resolved_at) : now.value;
  const links = linksOf(alert.labels, from, to);
  if (!links.length) return null;
  return (
    <nav class="row" aria-label={w.links()}>
      {links.map(({ kind, to, changes }) => (
        <a key={kind} class="btn" href={href(to, changes)}>
          {w[`link_${kind}` as keyof typeof w]()}
        </a>
      ))}
    </nav>
  );
}

/** Why nobody is told. */
function HeldBack({ alert }: { alert: Alert }) {
  const ids = alert.status.silencedBy;
  const silences = useData(["silences of", ids], ids.length ? (signal) => get<Silence[]>("/api/v1/silences", {}, signal) : null);
  const own = silences.data?.filter((silence) => ids.includes(silence.id)) ?? [];
  if (alert.status.inhibitedBy.length) return <p class="al-note">{w.inhibited_by()}</p>;
  if (!own.length) return null;
  return (
    <div class="al-note">
      {own.map((silence) => (
        <p key={silence.id}>
          <b>{w.silenced_by()}</b> {silence.createdBy.slice(0, 120) || w.no_author()}: {silence.comment.slice(0, 1000)} · {w.until({ at: shortClock(silence.endsAt) })}{" "}
          <a href={here({ tab: "silences", alert: null })}>{w.silences()}</a>
        </p>
      ))}
    </div>
  );
}

/** So much is shown of the time behind the end of an alert. */
const AFTER = 10 * 6e4;

function AlertChart({ alert }: { alert: Alert }) {
  const rules = useData(["rule of", alert.rule, param("tenant")], (signal) => get<Rules>("/api/v1/rules", {}, signal));
  const { group, found } = useMemo(() => {
    const group = rules.data?.groups.find((group) => group.name === alert.group && group.file === alert.file);
    return { group, found: group?.rules.find((rule) => rule.name === alert.rule && (!alert.expr || rule.expr === alert.expr)) };
  }, [rules.data]);
  const end = alert.resolved_at ? Date.parse(alert.resolved_at) + AFTER : range.value.to;
  const { from, to } = stretchOf(Date.parse(alert.active_at), end);
  const marks = useMemo(() => {
    const mark = (at: string | null, label: string, color: string) => (at ? [{ at: Date.parse(at) / 1e3, label, color }] : []);
    return [...mark(alert.active_at, w.pending(), "warn"), ...mark(alert.fired_at, w.firing(), "bad"), ...mark(alert.resolved_at, w.resolved(), "ok")];
  }, [alert.active_at, alert.fired_at, alert.resolved_at, w.pending()]);
  if (rules.loading && !rules.data) return <div class="al-chart-wait" />;
  const rule = found ?? { name: alert.rule, expr: alert.expr };
  if (!rule.expr) return <p class="faint">{w.rule_not_there()}</p>;
  return (
    <div>
      <RuleChart rule={rule} labels={alert.labels} from={from} to={to} marks={marks} />
      <div class="al-expr">
        <code>
          <LongText text={rule.expr} />
        </code>
        <CopyButton text={rule.expr} />
        <a class="nowrap" href={here({ tab: "rules", alert: null, rule: group && found ? ruleKey(group, found) : `${alert.group}/${alert.rule}` })}>
          {w.open_rule()}
        </a>
      </div>
    </div>
  );
}

function Texts({ alert }: { alert: Alert }) {
  const more = Object.entries(alert.annotations).filter(([, text]) => text !== summary(alert));
  return (
    <>
      <div class="row al-labels" aria-label={w.labels()}>
        {Object.entries(alert.labels).map(([name, value]) => (
          <a key={name} class="chip" title={w.label_filter({ label: name })} href={here({ q: `${name}=${value.split(/\s/)[0] ?? ""}`.slice(0, 200) })}>
            <span class="faint">{name}</span> <span class="ellipsis">{value.slice(0, 200)}</span>
          </a>
        ))}
      </div>
      {more.length > 0 && (
        <dl class="al-annotations">
          {more.map(([name, text]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{/^https?:\/\/\S+$/.test(text) ? <a href={text} target="_blank" rel="noreferrer noopener">{text.slice(0, 300)}</a> : <LongText text={text} />}</dd>
            </div>
          ))}
        </dl>
      )}
    </>
  );
}
