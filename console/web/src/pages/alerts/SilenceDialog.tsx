//! Makes a silence, or changes one: what it would match now is shown before it is made.
import { useMemo, useState } from "preact/hooks";
import type { Problem } from "../../lib/api";
import { get, post } from "../../lib/api";
import { problemOf, useData } from "../../lib/data";
import { may } from "../../lib/session";
import { clock } from "../../lib/time";
import type { Alert, Silence, SilenceMatcher } from "../../lib/types/alerts";
import { param, set } from "../../lib/url";
import { Dialog, IconButton, ProblemBox, Show } from "../../ui/parts";
import { summary } from "./alert";
import { fault, matchesAll, OPS, opOf, readMatchers, silences, withOp } from "./matchers";
import { stretchOf } from "./stretch";
import { w } from "./words";

const HOUR = 36e5;
const LENGTHS: [string, number][] = [["30m", HOUR / 2], ["1h", HOUR], ["2h", 2 * HOUR], ["4h", 4 * HOUR], ["8h", 8 * HOUR], ["1d", 24 * HOUR], ["3d", 72 * HOUR], ["7d", 168 * HOUR]];
const SHOWN = 6;

export function SilenceDialog({ alerts, onDone }: { alerts: Alert[]; onDone: () => void }) {
  const close = () => set({ silence: null, id: null, again: null });
  const id = param("id");
  const model = id || param("again");
  const known = useData([model, param("tenant")], model ? (signal) => get<Silence[]>("/api/v1/silences", {}, signal) : null);
  const form = (old?: Silence) => <Form id={id} old={old} alerts={alerts} onDone={() => (close(), onDone())} onCancel={close} />;
  return (
    <Dialog title={id ? w.form_edit() : w.form_new()} onClose={close} wide>
      {!may("operator") ? <p>{w.may_not()}</p> : model ? <Show of={known}>{(all) => form(all.find((one) => one.id === model))}</Show> : form()}
    </Dialog>
  );
}

/** Why the form cannot be sent. */
function faultOf(matchers: SilenceMatcher[], author: string, comment: string): string {
  if (!matchers.length) return w.need_matcher();
  if (matchers.some((matcher) => fault(matcher) === "name")) return w.bad_name();
  if (matchers.some((matcher) => fault(matcher) === "regex")) return w.bad_regex();
  if (matchesAll(matchers)) return w.too_wide();
  if (!author.trim()) return w.need_author();
  return comment.trim() ? "" : w.need_comment();
}

/** `old`: which one is changed, or made again. */
function Form({ id, old, alerts, onDone, onCancel }: { id: string; old?: Silence; alerts: Alert[]; onDone: () => void; onCancel: () => void }) {
  const [matchers, setMatchers] = useState(() => readMatchers(param("silence")));
  const changed = id ? old : undefined;
  /** Null: the end stays. */
  const [length, setLength] = useState(changed ? null : 2 * HOUR);
  const [author, setAuthor] = useState<string>();
  const [comment, setComment] = useState(old?.comment ?? "");
  const [wrong, setWrong] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const whoami = useData(["whoami"], (signal) => get<{ name: string }>("/api/v1/whoami", {}, signal));
  const writer = author ?? whoami.data?.name ?? "";
  const active = useMemo(() => alerts.filter((alert) => alert.state !== "resolved"), [alerts]);
  // A regular expression of a link is not run until somebody asks: one made for it would stop the page.
  const [runs, setRuns] = useState(() => !matchers.some((matcher) => matcher.isRegex));
  const matched = useMemo(() => (runs ? active.filter((alert) => silences(matchers)(alert.labels)) : []), [active, matchers, runs]);
  const change = (at: number, matcher: SilenceMatcher | null) => {
    setRuns(true);
    setMatchers(matchers.flatMap((other, index) => (index === at ? (matcher ? [matcher] : []) : [other])));
  };
  const submit = async (event: Event) => {
    event.preventDefault();
    const wrong = faultOf(matchers, writer, comment);
    setWrong(wrong);
    if (wrong) return;
    setBusy(true);
    setProblem(undefined);
    const body = { ...(id ? { id } : {}), matchers, ...stretchOf(changed, length, Date.now()), createdBy: writer.trim(), comment: comment.trim() };
    try {
      await post("/api/v1/silences", {}, { body });
      onDone();
    } catch (error) {
      setProblem(problemOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="stack" onSubmit={submit}>
      <fieldset class="al-fieldset">
        <legend>{w.matchers()}</legend>
        {matchers.map((matcher, at) => (
          <div key={at} class="al-matcher">
            <input class="input" aria-label={w.label_name()} placeholder={w.label_name()} spellcheck={false} value={matcher.name} onInput={(event) => change(at, { ...matcher, name: event.currentTarget.value })} />
            <select class="select" aria-label={w.operator()} value={opOf(matcher)} onChange={(event) => change(at, withOp(matcher, event.currentTarget.value as ReturnType<typeof opOf>))}>
              {OPS.map((op) => (
                <option key={op}>{op}</option>
              ))}
            </select>
            <input class="input" aria-label={w.label_value()} placeholder={w.label_value()} spellcheck={false} aria-invalid={fault(matcher) === "regex"} value={matcher.value} onInput={(event) => change(at, { ...matcher, value: event.currentTarget.value })} />
            <IconButton icon="close" label={w.remove_matcher({ name: matcher.name })} onClick={() => change(at, null)} />
          </div>
        ))}
        <button class="btn" type="button" onClick={() => setMatchers([...matchers, { name: "", value: "", isRegex: false, isEqual: true }])}>
          {w.add_matcher()}
        </button>
      </fieldset>
      <div class="al-matched" role="status">
        {!runs && (
          <button class="btn" type="button" onClick={() => setRuns(true)}>
            {w.matches_show()}
          </button>
        )}
        <b>{!runs ? "" : matched.length ? w.matches_now({ n: matched.length, all: active.length }) : w.matches_none()}</b>
        {matched.slice(0, SHOWN).map((alert) => (
          <div key={JSON.stringify(alert.labels)} class="ellipsis">
            {alert.rule}: {summary(alert).slice(0, 300)}
          </div>
        ))}
        {matched.length > SHOWN && <div class="faint">{w.and_more({ n: matched.length - SHOWN })}</div>}
      </div>
      <div class="row" role="group" aria-label={w.duration()}>
        <span>{w.duration()}</span>
        {LENGTHS.map(([name, size]) => (
          <button key={name} class="btn" type="button" aria-pressed={length === size} onClick={() => setLength(size)}>
            {name}
          </button>
        ))}
        <span class="faint">{w.duration_about({ at: clock(stretchOf(changed, length, Date.now()).endsAt, 0) })}</span>
      </div>
      <div class="form">
        <label for="al-author">{w.author()}</label>
        <input id="al-author" class="input" value={writer} onInput={(event) => setAuthor(event.currentTarget.value)} />
        <label for="al-comment">{w.comment()}</label>
        <input id="al-comment" class="input" placeholder={w.comment_hint()} value={comment} onInput={(event) => setComment(event.currentTarget.value)} />
      </div>
      {wrong && (
        <p class="tone-bad" role="alert">
          {wrong}
        </p>
      )}
      {problem && <ProblemBox problem={problem} />}
      <div class="row">
        <button class="btn btn-primary" type="submit" disabled={busy}>
          {busy ? w.creating() : id ? w.save() : w.create()}
        </button>
        <button class="btn" type="button" onClick={onCancel}>
          {w.cancel()}
        </button>
      </div>
    </form>
  );
}
