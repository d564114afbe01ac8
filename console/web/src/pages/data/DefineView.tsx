//! Defining a capture: the form, what it means as a file, and ten rows of what it would take.
import { useEffect, useState } from "preact/hooks";
import { address, get, request, type Problem } from "../../lib/api";
import { problemOf, useData } from "../../lib/data";
import { tenants } from "../../lib/session";
import type { CaptureDetail, Definition } from "../../lib/types/captures";
import { go, here, param } from "../../lib/url";
import { CopyButton, Panel, ProblemBox, Show } from "../../ui/parts";
import { definitionOf, draftOf, empty, partOf, type Draft } from "./draft";
import { DraftForm } from "./DraftForm";
import { PreviewPanel } from "./PreviewPanel";
import { w } from "./words";
import { captureFile } from "./yaml";

/** A new one, a copy of one, or one that is changed. */
export function DefineView({ mode, capture }: { mode: "new" | "change"; capture: string }) {
  const of = useData([capture], capture ? (signal) => get<CaptureDetail>("/api/v1/captures/{name}", { name: capture }, signal) : null);
  if (!capture) {
    const source = param("source") === "logs" ? "logs" : "spans";
    return <Editor mode="new" start={empty(source, param("query"), param("tenant") || tenants.value.join(", "))} />;
  }
  return (
    <Show of={of}>
      {({ definition }) => {
        const draft = draftOf(definition);
        return <Editor mode={mode} start={mode === "change" ? draft : { ...draft, name: "" }} />;
      }}
    </Show>
  );
}

function Editor({ mode, start }: { mode: "new" | "change"; start: Draft }) {
  const [draft, setDraft] = useState(start);
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const [isJson, setJson] = useState(false);
  const definition = definitionOf(draft);
  const text = isJson ? JSON.stringify(definition, null, 2) : captureFile(definition);
  const part = problem ? partOf(problem.detail, problem.parameter, draft) : null;
  const change = (changes: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...changes }));
    setProblem(undefined);
  };
  useEffect(() => {
    if (part) document.getElementById(`part-${part}`)?.scrollIntoView({ block: "center" });
  }, [problem]);
  const save = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      const made = await request<Definition>("POST", address("/api/v1/captures", { tenant: null }), { body: definition });
      go(here({ define: null, source: null, query: null, capture: made.name }));
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
  return (
    <div class="data-define">
      <div class="stack">
        <DraftForm draft={draft} change={change} part={part} detail={problem?.detail ?? ""} isNamed={mode === "change"} />
        {problem && !part && <ProblemBox problem={problem} />}
        <div class="row data-actions">
          <a class="btn" href={here({ define: null, source: null, query: null })}>
            {w.cancel()}
          </a>
          <button class="btn btn-primary" type="button" disabled={busy} onClick={save}>
            {busy ? w.saving() : mode === "change" ? w.save() : w.create()}
          </button>
        </div>
      </div>
      <div class="stack data-beside">
        <Panel
          title={w.definition()}
          actions={
            <>
              <button class="btn btn-plain" type="button" aria-pressed={!isJson} onClick={() => setJson(false)}>
                {w.as_file()}
              </button>
              <button class="btn btn-plain" type="button" aria-pressed={isJson} onClick={() => setJson(true)}>
                {w.as_request()}
              </button>
              <CopyButton text={text} />
            </>
          }
        >
          <pre class="data-definition">{text}</pre>
        </Panel>
        <PreviewPanel definition={definition} onProblem={setProblem} />
      </div>
    </div>
  );
}
