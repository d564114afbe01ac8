//! One trace: its spans over time, what it waited for, its log lines and its GPUs.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { count } from "../../lib/format";
import { useKey } from "../../lib/keys";
import type { CriticalPath, Dossier } from "../../lib/types/traces";
import { param, set } from "../../lib/url";
import { ProblemBox, Show } from "../../ui/parts";
import { readView, scaled, type View, writeView } from "./axis";
import { colorsOf } from "./colors";
import { Critical } from "./CriticalPanel";
import { criticalSegments } from "./critical";
import { Gpus, Logs } from "./Dossier";
import { find } from "./find";
import { Minimap } from "./Minimap";
import { SpanPanel } from "./SpanPanel";
import { TraceHead } from "./TraceHead";
import { Toolbar } from "./Toolbar";
import { ancestors, type Tree, unfolded } from "./tree";
import { Unknown } from "./Unknown";
import type { Loaded } from "./useTrace";
import { useTrace } from "./useTrace";
import { Waterfall } from "./Waterfall";
import { w } from "./words";

/** Log lines and spans of the dossier. */
const DOSSIER = 2000;

export function TraceView({ id }: { id: string }) {
  const loaded = useTrace(id);
  const { tree, problem, loading, reload } = loaded;
  if (tree) return <Trace key={id} id={id} tree={tree} loaded={loaded} />;
  if (problem && [400, 404].includes(problem.status)) return <Unknown id={id} problem={problem} />;
  if (problem) return <ProblemBox problem={problem} retry={reload} />;
  return loading ? <div class="loading">{w.loading_more()}</div> : <Unknown id={id} />;
}

function Trace({ id, tree, loaded }: { id: string; tree: Tree; loaded: Loaded }) {
  const { rounds } = loaded;
  const tenant = param("tenant");
  const critical = useData([id, tenant, rounds], rounds ? (signal) => get<CriticalPath>("/api/v1/traces/{trace_id}/critical_path", { trace_id: id }, signal) : null);
  const dossier = useData([id, tenant, rounds], rounds ? (signal) => get<Dossier>("/api/v1/traces/{trace_id}/dossier", { trace_id: id, limit: DOSSIER }, signal) : null);
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const [scrollBar, setScrollBar] = useState(0);
  const colors = useMemo(() => colorsOf(tree), [tree]);
  const shown = useMemo(() => unfolded(tree, folded), [tree, folded]);
  const text = param("find");
  const found = useMemo(() => find(tree, text), [tree, text]);
  const foundSet = useMemo(() => new Set(found), [found]);
  const onPath = useMemo(() => new Map(critical.data?.critical_path.map((one) => [one.span_id, one.self_ns])), [critical.data]);
  const segments = useMemo(() => criticalSegments(tree), [tree]);
  const places = useMemo(() => new Map(tree.nodes.map((node, at) => [node.span.span_id, at])), [tree]);
  const selected = places.get(param("span")) ?? -1;
  const zoom = param("zoom");
  const view = useMemo(() => readView(zoom, tree.duration), [zoom, tree.duration]);
  const look = (view: View | null) => set({ zoom: view && writeView(view, tree.duration) });
  const select = (at: number) => set({ span: tree.nodes[at]?.span.span_id }, true);
  // By ids: places change while spans come.
  const idOf = (at: number) => tree.nodes[at]?.span.span_id ?? "";
  const isFolded = (at: number) => folded.has(idOf(at));
  const fold = (at: number, folds = !isFolded(at)) => {
    const next = new Set(folded);
    if (folds) next.add(idOf(at));
    else next.delete(idOf(at));
    setFolded(next);
  };
  // What is selected is seen, also below what is folded.
  useEffect(() => {
    const hidden = new Set(ancestors(tree, selected).filter(isFolded).map(idOf));
    if (hidden.size) setFolded(new Set([...folded].filter((id) => !hidden.has(id))));
  }, [selected]);
  useEffect(() => {
    const root = tree.nodes[tree.order[0] ?? 0]?.span;
    if (root) document.title = `${root.name.slice(0, 80)} · weir`;
  }, [tree]);
  const step = (by: number) => {
    const at = shown.indexOf(selected);
    const next = shown[at < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, at + by))];
    if (next !== undefined) select(next);
  };
  const stepFound = (by: number) => {
    if (!found.length) return;
    const at = found.indexOf(selected);
    select(found[at < 0 ? (by > 0 ? 0 : found.length - 1) : (at + by + found.length) % found.length] ?? -1);
  };
  const node = tree.nodes[selected];
  useKey("j", w.next_span, () => step(1));
  useKey("k", w.previous_span, () => step(-1));
  useKey("ArrowDown", w.next_span, () => step(1));
  useKey("ArrowUp", w.previous_span, () => step(-1));
  useKey("ArrowLeft", w.fold, () => {
    if (node?.children.length && !isFolded(selected)) fold(selected, true);
    else if (node && node.parent >= 0) select(node.parent);
  });
  useKey("ArrowRight", w.unfold, () => (isFolded(selected) ? fold(selected, false) : node?.children[0] !== undefined && select(node.children[0])));
  useKey("n", w.find_next, () => stepFound(1));
  useKey("N", w.find_previous, () => stepFound(-1));
  useKey("Escape", w.close_panel, () => set({ span: null }, true));
  useKey("+", w.zoom_in, () => look(scaled(view, 0.5, tree.duration)));
  useKey("-", w.zoom_out, () => look(scaled(view, 2, tree.duration)));
  useKey("0", w.zoom_reset, () => look(null));
  return (
    <div class="page trace" style={{ "--scroll-bar": `${scrollBar}px` }}>
      <TraceHead id={id} tree={tree} colors={colors} />
      {loaded.loading && <p class="trace-note" role="status">{w.spans_loaded({ n: count(tree.nodes.length) })}</p>}
      {loaded.problem && <ProblemBox problem={loaded.problem} retry={loaded.reload} />}
      {loaded.isBounded && (
        <p class="trace-note row">
          {w.spans_bounded({ n: count(tree.nodes.length) })}
          <button class="btn" type="button" onClick={loaded.loadRest}>
            {w.load_rest()}
          </button>
        </p>
      )}
      <div class={node ? "trace-body trace-body-open" : "trace-body"}>
        <div class="stack trace-main">
          <section class="panel">
            <Toolbar
              found={found}
              selected={selected}
              onFound={stepFound}
              isZoomed={zoom !== ""}
              onZoom={(by) => look(by === null ? null : scaled(view, by, tree.duration))}
              isFolded={folded.size > 0}
              onUnfold={() => setFolded(new Set())}
            />
            <div class="wf-axis minimap-row">
              <span class="wf-head" />
              <Minimap tree={tree} view={view} colors={colors} onView={look} />
            </div>
            <Waterfall tree={tree} shown={shown} view={view} colors={colors} folded={folded} selected={selected} found={foundSet} critical={segments} onSelect={select} onFold={fold} onScrollBar={setScrollBar} />
          </section>
          {rounds > 0 && (
            <>
              <Show of={critical}>{(path) => <Critical path={path} colors={colors} />}</Show>
              <Show of={dossier}>
                {(dossier) => (
                  <>
                    <Logs dossier={dossier} tree={tree} view={view} id={id} />
                    <Gpus dossier={dossier} tree={tree} view={view} id={id} onView={look} />
                  </>
                )}
              </Show>
            </>
          )}
        </div>
        {node && <SpanPanel tree={tree} at={selected} traceId={id} critical={onPath.get(node.span.span_id) ?? 0} onClose={() => set({ span: null }, true)} />}
      </div>
    </div>
  );
}
