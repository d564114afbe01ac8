//! What fires, waits, or is held back now: filtered, grouped, with one alert open beside the list.
import { useMemo, useState } from "preact/hooks";
import { get } from "../../lib/api";
import { useData, type Data } from "../../lib/data";
import { useKey } from "../../lib/keys";
import { may } from "../../lib/session";
import type { Alerts, Rules } from "../../lib/types/alerts";
import { here, param, set } from "../../lib/url";
import { Empty, Show } from "../../ui/parts";
import { VirtualList } from "../../ui/Virtual";
import { group, GROUPS, lines, list, matches, type GroupBy, type Line, type Listed, type Shown, SHOWN, wordsOf } from "./alert";
import { AlertRow, GroupRow } from "./AlertRow";
import { Detail } from "./Detail";
import { matchersOf, matchersText } from "./matchers";
import { w } from "./words";

export function Active({ of }: { of: Data<Alerts> }) {
  return <Show of={of}>{({ alerts }) => <ActiveList alerts={alerts} />}</Show>;
}

function keyOf(line: Line | undefined, index: number): string {
  if (!line) return String(index);
  return "group" in line ? `group ${line.group.name}` : line.one.id;
}

function ActiveList({ alerts }: Pick<Alerts, "alerts">) {
  const by = GROUPS.find((by) => by === param("group")) ?? "alertname";
  const filter = param("q");
  const states = param("state").split(",").filter(Boolean);
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const all = useMemo(() => list(alerts), [alerts]);
  const found = useMemo(() => {
    const words = wordsOf(filter);
    return words.length ? all.filter((one) => matches(one, words)) : all;
  }, [all, filter]);
  const shown = useMemo(() => {
    const kept = states.length ? found.filter((one) => states.includes(one.state)) : found;
    return lines(group(kept, by), by, closed);
  }, [found, states.join(), by, closed]);
  const current = param("alert");
  const at = shown.findIndex((line) => "one" in line && line.one.id === current);
  const open = all.find((one) => one.id === current);
  const step = (by: 1 | -1) => {
    for (let next = at + by; next >= 0 && next < shown.length; next += by) {
      const line = shown[next];
      if (line && "one" in line) return set({ alert: line.one.id }, current !== "");
    }
  };
  useKey("j", w.next, () => step(1));
  useKey("k", w.previous, () => step(-1));
  // Behind a dialog, Escape is the dialog's.
  useKey("Escape", w.close, () => param("silence") || set({ alert: null }));
  if (may("operator")) useKey("n", w.new_silence_about, () => set({ silence: open ? silenceOf(open) : "{}" }));
  if (!alerts.length) return <NothingActive />;
  const toggle = (name: string) => {
    const next = new Set(closed);
    if (!next.delete(name)) next.add(name);
    setClosed(next);
  };
  return (
    <>
      <Toolbar by={by} filter={filter} states={states} found={found} />
      <div class={current ? "al-split al-split-open" : "al-split"}>
        {shown.length ? (
          <VirtualList class="al-list" label={w.list()} count={shown.length} estimate={34} measured current={at} keyOf={(index) => keyOf(shown[index], index)}>
            {(index) => {
              const line = shown[index];
              if (!line) return null;
              if ("group" in line) return <GroupRow group={line.group} by={by} closed={closed.has(line.group.name)} onToggle={() => toggle(line.group.name)} />;
              return <AlertRow one={line.one} by={by} current={line.one.id === current} />;
            }}
          </VirtualList>
        ) : (
          <div class="al-list">
            <Empty action={<a class="btn" href={here({ q: null, state: null })}>{w.clear()}</a>}>{w.none_match()}</Empty>
          </div>
        )}
        {current && <Detail key={current} one={open} />}
      </div>
    </>
  );
}

/** The parameter that opens a new silence of an alert. */
export function silenceOf({ alert }: Listed): string {
  return matchersText(matchersOf(alert.labels));
}

function Toolbar({ by, filter, states, found }: { by: GroupBy; filter: string; states: string[]; found: Listed[] }) {
  const counts = useMemo(() => {
    const counts = new Map<Shown, number>();
    for (const one of found) counts.set(one.state, (counts.get(one.state) ?? 0) + 1);
    return counts;
  }, [found]);
  const toggle = (state: Shown) => {
    const next = states.includes(state) ? states.filter((other) => other !== state) : [...states, state];
    set({ state: next.join(",") }, true);
  };
  return (
    <div class="row al-tools" role="search">
      <input class="input grow" data-query type="search" spellcheck={false} aria-label={w.filter_about()} placeholder={w.filter()} value={filter} onInput={(event) => set({ q: event.currentTarget.value }, true)} />
      <div class="row al-states">
        {SHOWN.map((state) => {
          const count = counts.get(state) ?? 0;
          if (!count && !states.includes(state)) return null;
          return (
            <button key={state} type="button" class="btn" aria-pressed={states.includes(state)} title={w.state_about({ state: w[state]() })} onClick={() => toggle(state)}>
              <i class={`al-dot al-dot-${state}`} />
              {w[state]()} <b>{count}</b>
            </button>
          );
        })}
      </div>
      <select class="select" aria-label={w.group_by()} value={by} onChange={(event) => set({ group: event.currentTarget.value === "alertname" ? null : event.currentTarget.value })}>
        {GROUPS.map((one) => (
          <option key={one} value={one}>
            {w[`by_${one}`]()}
          </option>
        ))}
      </select>
    </div>
  );
}

/** That nothing fires is good news only where something could. */
function NothingActive() {
  const rules = useData(["rules there are", param("tenant")], (signal) => get<Rules>("/api/v1/rules", {}, signal));
  const count = rules.data?.groups.reduce((sum, group) => sum + group.rules.filter((rule) => rule.type === "alerting").length, 0);
  const text = count === undefined ? w.none_active_unknown() : count ? w.none_active({ rules: count }) : w.no_rules();
  return <Empty action={<a class="btn" href={here({ tab: "history" })}>{w.to_history()}</a>}>{text}</Empty>;
}
