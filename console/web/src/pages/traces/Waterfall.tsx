//! The spans of a trace as rows over time. Only the rows in sight are in the page.
import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { count, ms } from "../../lib/format";
import { useVirtual } from "../../ui/Virtual";
import { share, tickText, ticks, type View } from "./axis";
import type { Segment } from "./critical";
import { pointed } from "./cursor";
import { skew, type Node, type Tree } from "./tree";
import { w } from "./words";

const ROW = 24;
/** Rows beside those in sight. */
const OVERSCAN = 6;
/** Levels that are indented; deeper ones stand below each other. */
const MOST_INDENT = 18;
const INDENT = 11;
/** About so many lines of the axis. */
const TICKS = 5;
/** Stretches of the critical path in a row. */
const MOST_SEGMENTS = 200;
/** Characters of a name: more are never seen in a row. */
const SHOWN = 300;

interface Props {
  tree: Tree;
  shown: number[];
  view: View;
  colors: Map<string, string>;
  /** Span ids. */
  folded: ReadonlySet<string>;
  selected: number;
  found: ReadonlySet<number>;
  /** When each node was what the trace waited for. */
  critical: ReadonlyMap<number, Segment[]>;
  onSelect: (at: number) => void;
  onFold: (at: number) => void;
  /** Given the width of the scroll bar, so that other parts line up. */
  onScrollBar: (width: number) => void;
}

export function Waterfall(props: Props) {
  const { tree, shown, view, selected, onScrollBar } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtual(scroller, { count: shown.length, estimate: ROW, overscan: OVERSCAN });
  // While one scrolls, rows that stay are the same objects: they are not rendered again.
  const rows = useMemo(() => new Map<number, VNode>(), [tree, shown, view, selected, props.colors, props.folded, props.found, props.critical]);
  const rowAt = (at: number, node: Node, top: number) => {
    const known = rows.get(at) ?? <Row key={at} {...props} at={at} node={node} top={top} />;
    rows.set(at, known);
    return known;
  };
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box) return;
    const measure = () => onScrollBar(box.offsetWidth - box.clientWidth);
    measure();
    const resized = new ResizeObserver(measure);
    resized.observe(box);
    return () => resized.disconnect();
  }, [shown.length]);
  useEffect(() => {
    const at = selected < 0 ? -1 : shown.indexOf(selected);
    if (at >= 0) virtual.scrollToIndex(at, { align: "auto" });
  }, [selected, shown.length]);
  const point = (event: MouseEvent) => {
    const box = event.currentTarget as HTMLElement;
    const time = box.querySelector(".wf-grid")?.getBoundingClientRect();
    const at = time && (event.clientX - time.left) / time.width;
    pointed.value = at !== undefined && at >= 0 && at <= 1 ? view.from + at * (view.to - view.from) : null;
  };
  return (
    <div class="wf" onMouseMove={point} onMouseLeave={() => (pointed.value = null)}>
      <div class="wf-axis">
        <span class="wf-head faint">{w.span()}</span>
        <div class="wf-grid">
          {ticks(view, TICKS).map((at) => (
            <span key={at} class={share(view, at) > 0.86 ? "wf-tick wf-tick-last" : "wf-tick"} style={{ left: `${share(view, at) * 100}%` }}>
              {tickText(at)}
            </span>
          ))}
          <Pointed view={view} text />
        </div>
      </div>
      <div class="wf-box">
        <div class="wf-lines" aria-hidden="true">
          <div class="wf-grid">
            {ticks(view, TICKS).map((at) => (
              <i key={at} style={{ left: `${share(view, at) * 100}%` }} />
            ))}
            <Pointed view={view} />
          </div>
        </div>
        <div ref={scroller} class="wf-rows" style={{ height: `min(${shown.length * ROW}px, 56vh)` }} role="tree" aria-label={w.waterfall()} tabIndex={0}>
          <div style={{ height: `${virtual.getTotalSize()}px`, position: "relative" }} role="presentation">
            {virtual.getVirtualItems().map((item) => {
              const at = shown[item.index];
              const node = at === undefined ? undefined : tree.nodes[at];
              return at !== undefined && node && rowAt(at, node, item.start);
            })}
          </div>
        </div>
      </div>
    </div>
  );
}

function Row({ tree, at, node, top, view, colors, folded, selected, found, critical, onSelect, onFold }: Props & { at: number; node: Node; top: number }) {
  const { span } = node;
  const isBad = span.status?.code === "error";
  const isFolded = folded.has(span.span_id);
  const shade = `var(--${colors.get(span.service) ?? "s8"})`;
  const state = `${at === selected ? "wf-current" : ""} ${found.has(at) ? "wf-found" : ""}`;
  return (
    <div
      class={`wf-row ${state}`}
      style={{ transform: `translateY(${top}px)` }}
      role="treeitem"
      aria-level={node.depth + 1}
      aria-selected={at === selected}
      aria-expanded={node.children.length ? !isFolded : undefined}
      onClick={() => onSelect(at)}
    >
      <div class="wf-name" style={{ paddingLeft: `${6 + Math.min(node.depth, MOST_INDENT) * INDENT}px` }}>
        {node.children.length > 0 ? (
          <button
            class="wf-fold"
            type="button"
            tabIndex={-1}
            title={isFolded ? w.unfold() : w.fold()}
            aria-label={isFolded ? w.unfold() : w.fold()}
            onClick={(event) => {
              event.stopPropagation();
              onFold(at);
            }}
          >
            {isFolded ? "▸" : "▾"}
          </button>
        ) : (
          <span class="wf-fold" />
        )}
        <i class="wf-color" style={{ background: shade }} />
        {node.isOrphan && (
          <span class="tone-warn" title={w.orphan()}>
            ⌀
          </span>
        )}
        {(node.isFarOff || skew(tree, at) !== 0) && (
          <span class="tone-warn" title={warning(tree, at)}>
            ◷
          </span>
        )}
        <span class={`ellipsis ${isBad ? "tone-bad" : ""}`} title={`${span.service} ${span.name}`.slice(0, SHOWN)}>
          <b>{span.service.slice(0, SHOWN)}</b> {span.name.slice(0, SHOWN)}
          {isFolded && <span class="faint"> +{count(node.below)}</span>}
        </span>
      </div>
      <div class="wf-time">
        <Bar node={node} view={view} shade={isBad ? "var(--bad)" : shade} segments={critical.get(at)} />
      </div>
    </div>
  );
}

function warning(tree: Tree, at: number): string {
  if (tree.nodes[at]?.isFarOff) return w.far_off();
  const by = skew(tree, at);
  return by < 0 ? w.skew_before({ length: ms(-by) }) : w.skew_after({ length: ms(by) });
}

/** A span's time; one that lies outside of what is shown is an arrow to where it is. */
function Bar({ node, view, shade, segments = [] }: { node: Node; view: View; shade: string; segments: Segment[] | undefined }) {
  const length = ms(node.end - node.start);
  const [from, to] = [share(view, node.start), share(view, node.end)];
  if (from > 1 || to < 0) {
    const isLater = from > 1;
    return (
      <span class={isLater ? "wf-off wf-off-later" : "wf-off"}>
        {isLater ? `${length} →` : `← ${length}`}
      </span>
    );
  }
  const [left, right] = [Math.max(0, from), Math.min(1, to)];
  // The length stands where there is room: behind the bar, before it, or on it.
  const place = right < 0.86 ? { left: `calc(${right * 100}% + 6px)` } : left > 0.14 ? { right: `calc(${(1 - left) * 100}% + 6px)` } : { left: `calc(${left * 100}% + 6px)` };
  const isOn = right >= 0.86 && left <= 0.14;
  return (
    <>
      <i class="wf-bar" style={{ left: `${left * 100}%`, width: `${(right - left) * 100}%`, background: shade }} />
      {segments.filter(([from, to]) => to >= view.from && from <= view.to).slice(0, MOST_SEGMENTS).map(([from, to]) => {
        const [start, end] = [Math.max(0, share(view, from)), Math.min(1, share(view, to))];
        return <i key={from} class="wf-critical" title={w.critical()} style={{ left: `${start * 100}%`, width: `${(end - start) * 100}%` }} />;
      })}
      <span class={isOn ? "wf-length wf-length-on" : "wf-length"} style={place}>
        {length}
      </span>
    </>
  );
}

/** The line at the time that one points at. */
export function Pointed({ view, text }: { view: View; text?: boolean }) {
  const at = pointed.value;
  const place = at === null ? -1 : share(view, at);
  if (at === null || place < 0 || place > 1) return null;
  return (
    <i class="wf-pointed" style={{ left: `${place * 100}%` }}>
      {text && <span class={place > 0.9 ? "wf-pointed-left" : ""}>{tickText(at)}</span>}
    </i>
  );
}
