//! Rules by group: how they fare, and one of them opened.
import { useMemo } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { ms } from "../../lib/format";
import { useKey } from "../../lib/keys";
import { now, shortClock } from "../../lib/time";
import type { Alert, Rule, RuleGroup, Rules } from "../../lib/types/alerts";
import { here, param, set } from "../../lib/url";
import { Badge, Empty, Show } from "../../ui/parts";
import { VirtualList } from "../../ui/Virtual";
import { Replay } from "./Replay";
import { RuleDetail } from "./RuleDetail";
import { ruleKey } from "./ruleKey";
import { w } from "./words";

export function RulesTab({ alerts }: { alerts: Alert[] }) {
  const rules = useData(["rules", now.value, param("tenant")], (signal) => get<Rules>("/api/v1/rules", {}, signal));
  if (param("replay")) return <Replay />;
  return <Show of={rules}>{(data) => <RuleList rules={data} alerts={alerts} />}</Show>;
}

type Line = { group: RuleGroup; shown: number } | { of: RuleGroup; rule: Rule; key: string };

function linesOf(groups: RuleGroup[], filter: string, failed: boolean): Line[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return groups.flatMap((group): Line[] => {
    const rules = group.rules.filter((rule) => {
      const text = `${group.name} ${rule.name} ${rule.expr.slice(0, 8192)}`.toLowerCase();
      return (!failed || rule.health === "err") && words.every((word) => text.includes(word));
    });
    return rules.length ? [{ group, shown: rules.length }, ...rules.map((rule) => ({ of: group, rule, key: ruleKey(group, rule) }))] : [];
  });
}

function RuleList({ rules, alerts }: { rules: Rules; alerts: Alert[] }) {
  const [filter, failed, current] = [param("q"), param("failed") === "true", param("rule")];
  const lines = useMemo(() => linesOf(rules.groups, filter, failed), [rules, filter, failed]);
  const bad = useMemo(() => rules.groups.reduce((sum, group) => sum + group.rules.filter((rule) => rule.health === "err").length, 0), [rules]);
  const at = lines.findIndex((line) => "rule" in line && line.key === current);
  const open = useMemo(() => {
    if (!current) return undefined;
    for (const group of rules.groups) for (const rule of group.rules) if (ruleKey(group, rule) === current) return { group, rule };
    return undefined;
  }, [rules, current]);
  const step = (by: 1 | -1) => {
    for (let next = at + by; next >= 0 && next < lines.length; next += by) {
      const line = lines[next];
      if (line && "rule" in line) return set({ rule: line.key }, current !== "");
    }
  };
  useKey("j", w.next_rule, () => step(1));
  useKey("k", w.previous_rule, () => step(-1));
  useKey("Escape", w.close, () => set({ rule: null }));
  if (!rules.groups.length) return <Empty action={<ReplayLink />}>{w.rules_none()}</Empty>;
  return (
    <>
      <div class="row al-tools" role="search">
        <input class="input grow" data-query type="search" spellcheck={false} aria-label={w.filter_about()} placeholder={w.rule_filter()} value={filter} onInput={(event) => set({ q: event.currentTarget.value }, true)} />
        {(bad > 0 || failed) && (
          <button class="btn" type="button" aria-pressed={failed} onClick={() => set({ failed: failed ? null : "true" }, true)}>
            {w.only_failed()} <b>{bad}</b>
          </button>
        )}
        <ReplayLink />
      </div>
      <div class={current ? "al-split al-split-open" : "al-split"}>
        {lines.length ? (
          <VirtualList class="al-list" label={w.rule_groups()} count={lines.length} estimate={34} measured current={at} keyOf={(index) => lineKey(lines[index], index)}>
            {(index) => {
              const line = lines[index];
              if (!line) return null;
              return "rule" in line ? <RuleRow rule={line.rule} link={line.key} current={line.key === current} /> : <GroupHead {...line} />;
            }}
          </VirtualList>
        ) : (
          <div class="al-list">
            <Empty action={<a class="btn" href={here({ q: null, failed: null })}>{w.clear()}</a>}>{w.rules_match_none()}</Empty>
          </div>
        )}
        {current && <RuleDetail key={current} open={open} alerts={alerts} />}
      </div>
    </>
  );
}

function lineKey(line: Line | undefined, index: number): string {
  if (!line) return String(index);
  return "rule" in line ? `${line.of.file} ${line.key} ${line.rule.line}` : `group ${line.group.file} ${line.group.name}`;
}

function ReplayLink() {
  return (
    <a class="btn" href={here({ replay: "true", rule: null })}>
      {w.replay()}
    </a>
  );
}

function GroupHead({ group, shown }: { group: RuleGroup; shown: number }) {
  const at = group.evaluated_until;
  return (
    <div class="al-group" title={group.file}>
      <b class="ellipsis">{group.name}</b>
      {shown > 1 && <span class="faint">{w.rule_count({ n: shown })}</span>}
      <span class="faint">{w.every({ n: group.interval_seconds })}</span>
      <span class="faint al-right">{at ? w.evaluated({ at: shortClock(at) }) : w.never()}</span>
    </div>
  );
}

function RuleRow({ rule, link, current }: { rule: Rule; link: string; current: boolean }) {
  const tone = ({ ok: "ok", err: "bad", unknown: "idle" } as const)[rule.health];
  return (
    <a class={`al-row al-rule ${current ? "row-current" : ""}`} href={here({ rule: link })} aria-current={current ? "true" : undefined}>
      <span class="al-cell-state">
        <Badge tone={tone} title={rule.error?.slice(0, 2000)}>
          {w[rule.health]()}
        </Badge>
      </span>
      <span class="al-cell-text ellipsis">
        <b>{rule.name.slice(0, 160)}</b> <code class="faint">{rule.expr.replace(/\s+/g, " ").slice(0, 300)}</code>
      </span>
      <span class="al-cell-value faint">{rule.type === "recording" ? w.recording() : rule.for_seconds > 0 && w.hold({ time: ms(rule.for_seconds * 1e3) })}</span>
      <span class="al-cell-since">{rule.alerts > 0 && <Badge tone="bad">{w.active_alerts({ n: rule.alerts })}</Badge>}</span>
    </a>
  );
}
