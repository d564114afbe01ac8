//! What a rule file would have fired: tried over past data before it is used.
import { useMemo, useRef, useState } from "preact/hooks";
import { post, type Problem } from "../../lib/api";
import { problemOf } from "../../lib/data";
import { count, ms } from "../../lib/format";
import { clock, shortClock } from "../../lib/time";
import type { Replay as Answer, ReplayedAlert, ReplayedRule } from "../../lib/types/alerts";
import { here, param, set } from "../../lib/url";
import { Badge, Empty, Panel, ProblemBox } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { fingerprint, stateTone } from "./alert";
import { keep, kept } from "./draft";
import { telling, type Course } from "./intervals";
import { Timeline } from "./Timeline";
import { valueText } from "./value";
import { w } from "./words";

const OVER = ["15m", "1h", "3h", "6h", "1d", "7d"];

export function Replay() {
  const [text, setText] = useState(kept);
  const [answer, setAnswer] = useState<Answer>();
  const [problem, setProblem] = useState<Problem>();
  const [running, setRunning] = useState(false);
  const [wrong, setWrong] = useState("");
  const control = useRef<AbortController | null>(null);
  const over = OVER.find((over) => over === param("over")) ?? "1h";
  const run = async (event: Event) => {
    event.preventDefault();
    setWrong(text.trim() ? "" : w.replay_empty());
    if (!text.trim()) return;
    control.current?.abort();
    const current = (control.current = new AbortController());
    setRunning(true);
    setProblem(undefined);
    try {
      setAnswer(await post<Answer>("/api/v1/rules/replay", { start: `now-${over}` }, { text, signal: current.signal }));
    } catch (error) {
      if (!current.signal.aborted) setProblem(problemOf(error));
    } finally {
      setRunning(false);
    }
  };
  return (
    <div class="page">
      <form class="panel" onSubmit={run}>
        <header class="panel-head">
          <h2>{w.replay()}</h2>
          <a class="btn" href={here({ replay: null })}>
            {w.rules()}
          </a>
        </header>
        <div class="panel-body stack">
          <p class="faint">{w.replay_about()}</p>
          <textarea
            class="textarea"
            rows={14}
            spellcheck={false}
            aria-label={w.replay_file()}
            placeholder={"groups:\n  - name: …\n    rules:\n      - alert: …\n        expr: …"}
            value={text}
            onInput={(event) => {
              setText(event.currentTarget.value);
              keep(event.currentTarget.value);
            }}
          />
          <div class="row">
            <label class="row">
              {w.replay_over()}
              <select class="select" value={over} onChange={(event) => set({ over: event.currentTarget.value }, true)}>
                {OVER.map((one) => (
                  <option key={one}>{one}</option>
                ))}
              </select>
            </label>
            <button class="btn btn-primary" type="submit" disabled={running}>
              {running ? w.replay_running() : w.replay_run()}
            </button>
            {wrong && (
              <span class="tone-bad" role="alert">
                {wrong}
              </span>
            )}
          </div>
          {problem && <ProblemBox problem={problem} />}
        </div>
      </form>
      {answer && <Report answer={answer} />}
    </div>
  );
}

/** Alerts of a replay as bars. */
function coursesOf(alerts: ReplayedAlert[], from: number, to: number): Course[] {
  const by = new Map<string, Course>();
  for (const alert of alerts) {
    const id = fingerprint(alert.labels, alert.group ?? "");
    let course = by.get(id);
    if (!course) by.set(id, (course = { id, labels: alert.labels, stretches: [], last: 0, firings: 0 }));
    const [pending, fired, ended] = [Date.parse(alert.pending_at), alert.fired_at && Date.parse(alert.fired_at), alert.ended_at ? Date.parse(alert.ended_at) : to];
    const add = (state: "pending" | "firing", start: number, end: number) => {
      const [begin, stop] = [Math.max(from, start), Math.min(to, end)];
      if (stop >= begin) course.stretches.push({ state, from: begin, to: stop });
    };
    add("pending", pending, fired || ended);
    if (fired) {
      add("firing", fired, ended);
      course.firings += 1;
      course.last = Math.max(course.last, fired);
    }
  }
  return [...by.values()].sort((a, b) => b.firings - a.firings || b.last - a.last);
}

function Report({ answer }: { answer: Answer }) {
  const [from, to] = [Date.parse(answer.evaluated_from), Date.parse(answer.evaluated_until)];
  const courses = useMemo(() => coursesOf(answer.alerts, from, to), [answer]);
  const fired = useMemo(() => answer.alerts.filter((alert) => alert.fired_at), [answer]);
  const about = w.replay_records({ n: count(answer.records), from: clock(from, 0), to: clock(to, 0) });
  return (
    <>
      <p class={answer.complete ? "faint" : "al-note"}>
        {!answer.complete && <b>{w.replay_partial()}: </b>}
        {about}
        {answer.notes.map((note) => (
          <span key={note}> · {note}</span>
        ))}
      </p>
      <Panel title={w.replay_rules()} class="panel-flush">
        <Table label={w.replay_rules()} columns={ruleColumns()} rows={answer.rules} keyOf={(rule) => `${rule.group} ${rule.name} ${rule.line}`} tone={(rule) => (rule.error ? "bad" : undefined)} sortParam="by" />
      </Panel>
      {courses.length > 0 && to > from && (
        <Panel title={w.replay_would()} class="panel-flush">
          <Timeline courses={courses} from={from} to={to} />
        </Panel>
      )}
      {fired.length ? (
        <Panel title={`${w.replay_firings()} · ${count(fired.length)}`} class="panel-flush">
          <Table label={w.replay_firings()} columns={alertColumns(to)} rows={fired} keyOf={(alert) => `${alert.pending_at} ${fingerprint(alert.labels, alert.group ?? "")}`} sortParam="order" />
        </Panel>
      ) : (
        <Empty>{w.replay_nothing()}</Empty>
      )}
    </>
  );
}

function ruleColumns(): Column<ReplayedRule>[] {
  return [
    { key: "name", head: w.rule(), cell: (rule) => <b title={rule.expr.slice(0, 2000)}>{rule.name.slice(0, 160)}</b>, sort: (rule) => rule.name },
    { key: "pages", head: w.replay_pages(), align: "right", cell: (rule) => count(Math.round(rule.pages_per_week * 10) / 10), sort: (rule) => rule.pages_per_week },
    { key: "firings", head: w.replay_firings(), align: "right", cell: (rule) => count(rule.firings), sort: (rule) => rule.firings },
    { key: "alerts", head: w.alert_count(), align: "right", cell: (rule) => count(rule.alerts), sort: (rule) => rule.alerts, wide: true },
    { key: "detection", head: w.replay_detection(), align: "right", cell: ({ detection_seconds: { mean } }) => (mean === null ? "–" : ms(mean * 1e3)), sort: (rule) => rule.detection_seconds.mean, wide: true },
    { key: "error", head: w.error(), cell: ({ error }) => error && <span class="tone-bad" title={error.slice(0, 4096)}>{error.slice(0, 200)}</span>, wide: true },
  ];
}

function alertColumns(end: number): Column<ReplayedAlert>[] {
  const until = (alert: ReplayedAlert) => (alert.ended_at ? Date.parse(alert.ended_at) : end);
  return [
    { key: "from", head: w.from(), width: "130px", cell: (alert) => shortClock(alert.fired_at ?? alert.pending_at), sort: (alert) => Date.parse(alert.fired_at ?? alert.pending_at) },
    { key: "state", head: w.state(), cell: (alert) => <Badge tone={stateTone(alert.state)}>{w[alert.state]()}</Badge>, wide: true },
    { key: "alert", head: w.alert(), cell: ({ labels }) => <b>{labels.alertname?.slice(0, 160)}</b>, sort: ({ labels }) => labels.alertname ?? "" },
    { key: "labels", head: w.labels(), cell: ({ labels }) => <span class="faint">{telling(labels).slice(0, 300)}</span>, wide: true },
    { key: "lasted", head: w.lasted(), align: "right", cell: (alert) => (alert.ended_at ? ms(until(alert) - Date.parse(alert.fired_at ?? alert.pending_at)) : w.goes_on()), sort: (alert) => until(alert) - Date.parse(alert.fired_at ?? alert.pending_at) },
    { key: "greatest", head: w.greatest(), align: "right", cell: (alert) => valueText(alert.greatest_value, ""), sort: (alert) => Number(alert.greatest_value) },
  ];
}
