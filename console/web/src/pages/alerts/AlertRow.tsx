//! Rows of the list of active alerts.
import { ago, clock } from "../../lib/time";
import { here } from "../../lib/url";
import { Icon } from "../../ui/icons";
import { Badge } from "../../ui/parts";
import { type Group, type GroupBy, type Listed, severityTone, SHOWN, stateTone, summary } from "./alert";
import { telling } from "./intervals";
import { valueText } from "./value";
import { w } from "./words";

export function GroupRow({ group, by, closed, onToggle }: { group: Group; by: GroupBy; closed: boolean; onToggle: () => void }) {
  const name = group.name || w.without({ label: by });
  return (
    <button class="al-group" type="button" aria-expanded={!closed} title={w.expand({ group: name })} onClick={onToggle}>
      <Icon name={closed ? "right" : "down"} size={12} />
      <b class="ellipsis">{name}</b>
      {SHOWN.map(
        (state) =>
          group.counts[state] > 0 && (
            <span key={state} class="al-count">
              <i class={`al-dot al-dot-${state}`} />
              {group.counts[state]} {w[state]()}
            </span>
          ),
      )}
    </button>
  );
}

const CUT = 400;

export function AlertRow({ one, by, current }: { one: Listed; by: GroupBy; current: boolean }) {
  const { alert, state } = one;
  const { severity } = alert.labels;
  return (
    <a class={`al-row al-row-${state} ${current ? "row-current" : ""}`} href={here({ alert: one.id })} aria-current={current ? "true" : undefined}>
      <span class="al-cell-state">
        <Badge tone={stateTone(state)}>{w[state]()}</Badge>
      </span>
      <span class="al-cell-severity">{severity && <Badge tone={severityTone(severity)}>{severity.slice(0, 24)}</Badge>}</span>
      <span class="al-cell-text ellipsis">
        {by !== "alertname" && <b>{alert.rule.slice(0, 120)} </b>}
        {summary(alert).slice(0, CUT)} <span class="faint">{telling(alert.labels).slice(0, CUT)}</span>
      </span>
      <span class="al-cell-value">{valueText(alert.value, alert.expr)}</span>
      <span class="al-cell-since" title={clock(one.since)}>
        {ago(one.since)}
      </span>
    </a>
  );
}
