//! Ten rows that a capture would take, redacted.
import { useState } from "preact/hooks";
import { request, type Problem } from "../../lib/api";
import { problemOf } from "../../lib/data";
import { count } from "../../lib/format";
import { shortClock } from "../../lib/time";
import type { Definition, Preview } from "../../lib/types/captures";
import { Panel, ProblemBox } from "../../ui/parts";
import { cellsOf } from "./rows";
import { w } from "./words";

/** Characters of a cell that are shown until one asks for all. */
const SHORT = 400;

export function PreviewPanel({ definition, onProblem }: { definition: Definition; onProblem: (problem: Problem) => void }) {
  const [preview, setPreview] = useState<Preview>();
  const [missing, setMissing] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  /** The definition that the rows are of. */
  const [shown, setShown] = useState("");
  const key = JSON.stringify(definition);
  const ask = async () => {
    setBusy(true);
    setProblem(undefined);
    setMissing(false);
    try {
      // A capture that is not named yet can be looked at all the same.
      const body = { ...definition, name: definition.name || "unnamed" };
      setPreview(await request<Preview>("POST", "/api/v1/captures/preview", { body }));
      setShown(key);
    } catch (error) {
      const found = problemOf(error);
      setPreview(undefined);
      if (found.status === 404 || found.status === 405) setMissing(true);
      else if (found.status === 422 || found.status === 400) onProblem(found);
      else setProblem(found);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Panel
      title={w.preview_title()}
      actions={
        <button class="btn" type="button" disabled={busy} onClick={ask}>
          {busy ? w.previewing() : w.preview()}
        </button>
      }
    >
      {problem && <ProblemBox problem={problem} />}
      {missing && <p class="faint">{w.preview_none()}</p>}
      {!preview && !missing && !problem && <p class="faint">{w.preview_about()}</p>}
      {preview && shown !== key && (
        <p class="tone-warn" role="status">
          {w.preview_old()}
        </p>
      )}
      {preview && <Found preview={preview} />}
    </Panel>
  );
}

function Found({ preview }: { preview: Preview }) {
  const { rows, schema, matched, scanned, from, until, complete, sample, left = {} } = preview;
  const time = (at: string | null) => (at ? shortClock(at) : "–");
  return (
    <div class="stack" aria-live="polite">
      <p class="faint">
        {w.preview_found({ matched: count(matched), scanned: count(scanned), from: time(from), until: time(until) })} {!complete && w.preview_part()}{" "}
        {Object.keys(left).length > 0 && w.preview_left({ reasons: Object.entries(left).map(([reason, rows]) => `${leftText(reason)} ${count(rows)}`).join(", ") })}{" "}
        {sample?.not_applied.length ? w.preview_sample({ names: sample.not_applied.join(", ") }) : ""}
      </p>
      {rows.length === 0 && <p>{w.preview_empty()}</p>}
      {rows.map((row, at) => (
        <dl key={at} class="data-row" aria-label={`${w.row()} ${at + 1}`}>
          {cellsOf(row, schema ?? []).map(([name, text]) => (
            <div key={name}>
              <dt class={name.startsWith("_") ? "faint" : ""}>{name}</dt>
              <dd>
                <Cell text={text} />
              </dd>
            </div>
          ))}
        </dl>
      ))}
    </div>
  );
}

const LEFT = ["ratio", "rows_per_minute", "no_error", "not_slow", "not_firing", "unknown"] as const;

/** Why a row is not in the sample. */
function leftText(reason: string): string {
  const known = LEFT.find((one) => one === reason);
  return known ? w[`left_${known}`]() : reason;
}

function Cell({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  if (text.length <= SHORT) return <>{text}</>;
  return (
    <>
      {text.slice(0, all ? 16_384 : SHORT)}…{" "}
      {!all && (
        <button class="data-more" type="button" onClick={() => setAll(true)}>
          {w.all_of({ n: count(text.length) })}
        </button>
      )}
    </>
  );
}
