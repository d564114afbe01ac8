//! One capture: its definition, columns, progress and files.
import { useState } from "preact/hooks";
import { del, get, type Problem } from "../../lib/api";
import { problemOf, useData } from "../../lib/data";
import { bytes, count } from "../../lib/format";
import { may } from "../../lib/session";
import { now } from "../../lib/time";
import type { CaptureDetail } from "../../lib/types/captures";
import { go, here, param } from "../../lib/url";
import { CopyButton, Dialog, Empty, Panel, ProblemBox, Show, Stat } from "../../ui/parts";
import { DefinedIn, Updated } from "./CaptureList";
import { definitionOf, draftOf } from "./draft";
import { Files } from "./Files";
import { w } from "./words";
import { captureFile } from "./yaml";

export function CaptureView({ name }: { name: string }) {
  const data = useData([name, param("tenant"), now.value], (signal) => get<CaptureDetail>("/api/v1/captures/{name}", { name }, signal));
  return (
    <>
      <nav class="data-path" aria-label={w.path()}>
        <a href={here({ capture: null })}>{w.back()}</a>
        <span aria-hidden="true">/</span>
        <strong class="ellipsis">{name}</strong>
      </nav>
      <Show of={data}>{(capture) => <Shown capture={capture} />}</Show>
    </>
  );
}

function Shown({ capture }: { capture: CaptureDetail }) {
  const { manifest, definition } = capture;
  const schema = manifest?.definitions[manifest.definition]?.schema ?? [];
  const positions = Object.entries(manifest?.positions ?? {}).sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  const roll = [definition.roll?.rows && count(definition.roll.rows), definition.roll?.size, definition.roll?.age].filter(Boolean).join(" · ");
  // In the order in which one writes them; the API sorts keys.
  const text = captureFile(definitionOf(draftOf(definition)));
  return (
    <>
      <div class="stats">
        <Stat label={w.rows()} value={count(capture.rows)} />
        <Stat label={w.files()} value={count(capture.files)} />
        <Stat label={w.bytes()} value={bytes(capture.bytes)} />
        <Stat label={w.updated()} value={<Updated at={capture.updated} />} />
        <Stat label={w.defined()} value={<DefinedIn of={capture.defined_in} />} />
      </div>
      <div class="columns">
        <Panel
          title={w.definition()}
          actions={
            <>
              <Actions capture={capture} />
              <CopyButton text={text} />
            </>
          }
        >
          <pre class="data-definition">{text.slice(0, 16_384)}</pre>
        </Panel>
        <div class="stack">
          <Panel title={w.schema()} class="panel-flush">
            <div class="table-box data-short" role="region" aria-label={w.schema()} tabIndex={0}>
              <table>
                <thead>
                  <tr>
                    <th scope="col">{w.name()}</th>
                    <th scope="col">{w.type()}</th>
                  </tr>
                </thead>
                <tbody>
                  {schema.map((column) => (
                    <tr key={column.name}>
                      <td class={column.name.startsWith("_") ? "faint" : ""}>{column.name}</td>
                      <td class="faint">{column.type}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </Panel>
          {positions.length > 0 && (
            <Panel title={w.progress()} class="panel-flush">
              <div class="table-box data-short" role="region" aria-label={w.progress()} tabIndex={0}>
                <table>
                  <thead>
                    <tr>
                      <th scope="col">{w.partition()}</th>
                      <th scope="col" class="right">
                        {w.position()}
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {positions.slice(0, 200).map(([partition, position]) => (
                      <tr key={partition}>
                        <td>{partition}</td>
                        <td class="right">{count(position)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
              <p class="data-note faint">{w.progress_about()}</p>
            </Panel>
          )}
        </div>
      </div>
      {manifest?.files.length ? <Files capture={capture.name} manifest={manifest} /> : <Empty>{w.no_manifest({ roll })}</Empty>}
    </>
  );
}

function Actions({ capture }: { capture: CaptureDetail }) {
  const [ends, setEnds] = useState(false);
  if (!may("operator")) return null;
  const isOwn = capture.defined_in === "request";
  return (
    <>
      <a class="btn" href={here({ define: isOwn ? "change" : "copy" })}>
        {isOwn ? w.change() : w.copy_as()}
      </a>
      {isOwn && (
        <button class="btn btn-danger" type="button" onClick={() => setEnds(true)}>
          {w.end()}
        </button>
      )}
      {ends && <EndDialog name={capture.name} onClose={() => setEnds(false)} />}
    </>
  );
}

function EndDialog({ name, onClose }: { name: string; onClose: () => void }) {
  const [problem, setProblem] = useState<Problem>();
  const end = async () => {
    try {
      await del("/api/v1/captures/{name}", { name });
      onClose();
      go(here({ capture: null }));
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  return (
    <Dialog title={w.end_title({ name })} onClose={onClose}>
      <p>{w.end_about()}</p>
      {problem && <ProblemBox problem={problem} />}
      <div class="row data-actions">
        <button class="btn" type="button" onClick={onClose}>
          {w.cancel()}
        </button>
        <button class="btn btn-danger" type="button" onClick={end}>
          {w.end_confirm()}
        </button>
      </div>
    </Dialog>
  );
}
