//! One line as a whole: its body, fields, JSON, and the lines around it.
import { useState } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { count } from "../../lib/format";
import { quoted } from "../../lib/lucene";
import { severityColor } from "../../lib/theme";
import { ago, clock } from "../../lib/time";
import type { ContextAnswer, Hit } from "../../lib/types/logs";
import { here, href, param } from "../../lib/url";
import { Icon } from "../../ui/icons";
import { CopyButton, IconButton, ProblemBox, Tabs } from "../../ui/parts";
import { CUT, full, fullLength, text, traceOf } from "./body";
import { Context } from "./Context";
import { FieldTable } from "./FieldTable";
import { field } from "./fields";
import { Spans } from "./LineRow";
import { CopyLink } from "./Saved";
import { neighboursHref, queryHref, sharedHref } from "./view";
import { w } from "./words";

/** `known`: the line, where the list has it. */
export function Detail({ id, at, known, onClose }: { id: string; at: string; known: Hit | undefined; onClose: () => void }) {
  const load = (signal: AbortSignal) => get<ContextAnswer>("/api/v1/logs/{id}/context", { id, timestamp: at, before: 0, after: 0 }, signal);
  const { data, problem, loading, reload } = useData([id, at, known === undefined], known ? null : load);
  const hit = known ?? (data?.line.id === id ? data.line : undefined);
  return (
    <aside class="log-detail panel" aria-label={w.line()}>
      {hit ? (
        <Line hit={hit} onClose={onClose} />
      ) : (
        <>
          <header class="panel-head">
            <h2>{w.line()}</h2>
            <IconButton icon="close" label={w.close_line()} onClick={onClose} />
          </header>
          <div class="panel-body">
            {problem?.status === 404 ? <div class="empty">{w.line_gone()}</div> : problem ? <ProblemBox problem={problem} retry={reload} /> : null}
            {loading && <div class="loading">{w.loading()}</div>}
          </div>
        </>
      )}
    </aside>
  );
}

function Line({ hit, onClose }: { hit: Hit; onClose: () => void }) {
  const tab = param("tab", "fields");
  const tabs = [
    { key: "fields", label: w.tab_fields(), href: here({ tab: null }) },
    { key: "context", label: w.tab_context(), href: here({ tab: "context" }) },
    { key: "json", label: w.tab_json(), href: here({ tab: "json" }) },
  ];
  return (
    <>
      <header class="panel-head">
        <h2 class="log-detail-title" title={hit.timestamp}>
          <i class={`log-dot ${severityColor(hit.severity)}`} />
          {hit.severity} {clock(hit.timestamp)} <span class="faint">{ago(hit.timestamp)}</span>
        </h2>
        <div class="panel-actions">
          <CopyLink to={sharedHref(hit)} />
          <IconButton icon="close" label={w.close_line()} onClick={onClose} />
        </div>
      </header>
      <div class="log-detail-body">
        <Links hit={hit} />
        <Body key={hit.id} hit={hit} />
        <Tabs label={w.line()} tabs={tabs} current={tab} />
        {tab === "json" ? <Raw key={hit.id} hit={hit} /> : tab === "context" ? <Context key={hit.id} hit={hit} /> : <FieldTable key={hit.id} hit={hit} />}
      </div>
    </>
  );
}

function Links({ hit }: { hit: Hit }) {
  const trace = traceOf(hit);
  const others: [name: string, label: string][] = [
    ["service", w.of_service()],
    ["k8s.pod.name", w.of_pod()],
    ["host.name", w.of_host()],
    ["http.route", w.of_route()],
  ];
  return (
    <div class="row log-links">
      {trace && (
        <a class="btn btn-primary" href={href(`/traces/${trace}`, { span: hit.span_id || null })}>
          <Icon name="traces" /> {w.trace()}
        </a>
      )}
      {others.map(([name, label]) => {
        const value = field(hit, name);
        return value ? (
          <a key={name} class="btn" href={queryHref(`${name}:${quoted(value)}`)} title={value}>
            {label}
          </a>
        ) : null;
      })}
      <a class="btn" href={neighboursHref(hit)}>
        {w.around()}
      </a>
    </div>
  );
}

function Body({ hit }: { hit: Hit }) {
  const [isAll, setAll] = useState(false);
  const length = fullLength(hit);
  if (!length) return null;
  return (
    <div class="log-full">
      <pre tabIndex={0} aria-label={w.body()}>
        <Spans of={full(hit, isAll)} />
      </pre>
      <CopyButton text={text(hit.body)} />
      <ShowAll length={length} isAll={isAll} onAll={() => setAll(true)} />
    </div>
  );
}

function ShowAll({ length, isAll, onAll }: { length: number; isAll: boolean; onAll: () => void }) {
  if (isAll || length <= CUT) return null;
  return (
    <p class="row faint">
      {w.cut({ n: count(CUT) })}
      <button class="btn" type="button" onClick={onAll}>
        {w.show_all({ n: count(length) })}
      </button>
    </p>
  );
}

function Raw({ hit }: { hit: Hit }) {
  const [isAll, setAll] = useState(false);
  const { highlights: _, ...line } = hit;
  const json = JSON.stringify(line, null, 2);
  return (
    <div class="log-full">
      <pre tabIndex={0} aria-label={w.tab_json()}>
        {isAll ? json : json.slice(0, CUT)}
      </pre>
      <CopyButton text={json} />
      <ShowAll length={json.length} isAll={isAll} onAll={() => setAll(true)} />
    </div>
  );
}
