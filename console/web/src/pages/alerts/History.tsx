//! What fired in the time shown: each alert on a time axis, and its changes one by one.
import { useMemo } from "preact/hooks";
import { get } from "../../lib/api";
import type { Labels } from "../../lib/prom";
import { asked, bounds, clock, isLive, now, range } from "../../lib/time";
import type { Alert, History, Transition } from "../../lib/types/alerts";
import { here, param, set } from "../../lib/url";
import { Badge, Dialog, Empty, Panel, ProblemBox } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { usePages } from "../../ui/usePages";
import { fingerprint, idOf, wordsOf, severityTone, stateTone } from "./alert";
import { AlertBody } from "./Detail";
import { courses, past, telling } from "./intervals";
import { matcherOf } from "./matchers";
import { Timeline } from "./Timeline";
import { valueText } from "./value";
import { w } from "./words";

const STATES = ["pending", "firing", "resolved", "inactive"] as const;
const PAGE = 1000;

export function HistoryTab({ active }: { active: Alert[] }) {
  const state = param("state");
  const words = wordsOf(param("q"));
  // Names of labels have capitals too, which the words do not.
  const filter = param("q").split(/\s+/).map(matcherOf).filter((matcher) => matcher !== null);
  const moved = isLive.value ? now.value : 0;
  const time = bounds.value;
  const history = usePages(["history", asked.value, state, filter, param("tenant")], moved, async (cursor, signal) => {
    const { transitions, next_cursor: next } = await get<History>("/api/v1/alerts/history", { ...time, state, filter, limit: PAGE, cursor }, signal);
    return { rows: transitions, next };
  });
  const { from, to } = range.value;
  const found = useMemo(() => {
    const is = (labels: Labels) => {
      const text = Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    return { transitions: (history.rows ?? []).filter(({ labels }) => is(labels)), active: active.filter(({ labels }) => is(labels)) };
  }, [history.rows, active, words.join(" ")]);
  // The list is narrowed to a state; what an alert's course was is not.
  const drawn = useMemo(() => (state ? [] : courses(found.transitions, isLive.value ? found.active : [], from, to)), [found, from, to, state]);
  const current = param("alert");
  const open = useMemo(() => (current ? past(history.rows ?? [], active, current) : undefined), [history.rows, active, current]);
  const isFiltered = Boolean(state || words.length);
  return (
    <div class="page">
      <div class="row al-tools" role="search">
        <input class="input grow" data-query type="search" spellcheck={false} aria-label={w.filter_about()} placeholder={w.filter()} value={param("q")} onInput={(event) => set({ q: event.currentTarget.value }, true)} />
        <select class="select" aria-label={w.state()} value={state} onChange={(event) => set({ state: event.currentTarget.value })}>
          <option value="">{w.all_states()}</option>
          {STATES.map((one) => (
            <option key={one} value={one}>
              {w[one]()}
            </option>
          ))}
        </select>
      </div>
      {history.problem && <ProblemBox problem={history.problem} retry={history.reload} />}
      {history.isOld && (
        <p class="faint row">
          {w.stands_still()}
          <button class="btn" type="button" onClick={history.reload}>
            {w.show_newest()}
          </button>
        </p>
      )}
      {drawn.length > 0 && (
        <Panel title={w.timeline()} class="panel-flush">
          <Timeline courses={drawn} from={from} to={to} />
          {history.more && <p class="faint al-cut">{w.history_cut({ n: history.rows?.length ?? 0 })}</p>}
        </Panel>
      )}
      {history.rows && !found.transitions.length && <Empty>{isFiltered ? w.history_none_filter() : w.history_none()}</Empty>}
      {found.transitions.length > 0 && (
        <Panel title={w.transitions()} class="panel-flush">
          <Table label={w.transitions()} columns={COLUMNS()} rows={found.transitions} keyOf={(one) => `${one.time} ${one.state} ${fingerprint(one.labels, one.file)}`} href={(one) => here({ alert: idOf(one) })} sortParam="by" />
        </Panel>
      )}
      {open && (
        <Dialog title={open.alert.rule} onClose={() => set({ alert: null })} wide>
          <AlertBody one={open} />
        </Dialog>
      )}
      {history.more && (
        <button class="btn al-more" type="button" disabled={history.loading} onClick={history.more}>
          {w.more()}
        </button>
      )}
    </div>
  );
}

function COLUMNS(): Column<Transition>[] {
  return [
    { key: "time", head: w.time(), width: "170px", cell: ({ time }) => clock(time, 0), sort: ({ time }) => Date.parse(time) },
    { key: "state", head: w.state(), width: "100px", cell: ({ state }) => <Badge tone={stateTone(state)}>{w[state]()}</Badge>, sort: ({ state }) => state },
    { key: "alert", head: w.alert(), cell: ({ labels }) => <b>{labels.alertname?.slice(0, 120)}</b>, sort: ({ labels }) => labels.alertname ?? "" },
    { key: "severity", head: w.severity(), cell: ({ labels: { severity } }) => severity && <Badge tone={severityTone(severity)}>{severity.slice(0, 24)}</Badge>, sort: ({ labels }) => labels.severity ?? "", wide: true },
    { key: "labels", head: w.labels(), cell: ({ labels }) => <span class="faint">{telling(labels).slice(0, 300)}</span>, wide: true },
    { key: "value", head: w.value(), align: "right", cell: ({ value }) => valueText(value, "") },
  ];
}
