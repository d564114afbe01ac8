//! The tree of a trace: which span called which, and when each ran, in milliseconds from the start of the trace.
//! Traces are what services sent: parents are missing, ids are there twice, clocks differ, calls go in circles.
import type { Span } from "../../lib/types/traces";

export interface Node {
  span: Span;
  /** Place among the nodes; -1: a root. */
  parent: number;
  children: number[];
  depth: number;
  /** Milliseconds from the start of the trace. */
  start: number;
  end: number;
  /** It names a parent that is not here. */
  isOrphan: boolean;
  /** Its clock is so far off that its times do not count for the axis. */
  isFarOff: boolean;
  /** Spans below it, itself not counted. */
  below: number;
}

export interface Tree {
  nodes: Node[];
  /** Places of the nodes as they are shown: each before those below it, by start. */
  order: number[];
  /** Milliseconds since 1970 of the axis's 0. */
  start: number;
  /** Milliseconds. */
  duration: number;
  /** By first appearance. */
  services: string[];
  errors: number;
}

/** Spans that start further from the middle one are shown at the edge. */
const FAR_MS = 36e5;

/** Milliseconds since 1970, in two parts, so that nanoseconds are kept. */
function split(time: string): [seconds: number, ms: number] {
  const [whole = "", fraction = ""] = time.replace(/Z$/, "").split(".");
  const seconds = Date.parse(`${whole}Z`) / 1e3;
  return [Number.isFinite(seconds) ? seconds : 0, Number(`0.${fraction || 0}`) * 1e3 || 0];
}

function isCallee(span: Span): boolean {
  return span.kind === "server" || span.kind === "consumer";
}

/**
 * For each span the place of its parent; -1 where there is none. Where a client and a server span share an id, the client
 * is the parent, and the children of that id are those of the one whose service they have, else of the server. Nobody is
 * their own ancestor: of a circle, one span has no parent.
 */
export function parents(spans: Span[]): number[] {
  const byId = new Map<string, number[]>();
  spans.forEach((span, at) => {
    const known = byId.get(span.span_id);
    if (known) known.push(at);
    else byId.set(span.span_id, [at]);
  });
  const found = spans.map((span, at) => {
    const is = (test: (other: Span) => boolean) => (other: number) => other !== at && test(spans[other] ?? span);
    if (isCallee(span)) {
      const caller = byId.get(span.span_id)?.find(is((other) => !isCallee(other)));
      if (caller !== undefined) return caller;
    }
    const among = span.parent_span_id ? (byId.get(span.parent_span_id) ?? []) : [];
    return among.find(is((other) => other.service === span.service)) ?? among.find(is(isCallee)) ?? among.find(is(() => true)) ?? -1;
  });
  breakCircles(found);
  return found;
}

function breakCircles(parents: number[]) {
  // In which walk towards the root a span was seen.
  const seen = new Int32Array(parents.length);
  for (let from = 0; from < parents.length; from += 1) {
    let at = from;
    while (!seen[at]) {
      seen[at] = from + 1;
      const parent = parents[at] ?? -1;
      if (parent < 0) break;
      if (seen[parent] === from + 1) parents[at] = -1;
      else at = parent;
    }
  }
}

/** Where the axis starts and ends, in milliseconds from `base`; times that are far off do not count. */
function extent(times: [start: number, end: number][]): { low: number; high: number; middle: number } {
  const starts = times.map(([start]) => start).sort((a, b) => a - b);
  const middle = starts[starts.length >> 1] ?? 0;
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const [start, end] of times) {
    if (Math.abs(start - middle) > FAR_MS) continue;
    low = Math.min(low, start);
    high = Math.max(high, end);
  }
  return { low, high, middle };
}

export function tree(spans: Span[]): Tree {
  const base = split(spans[0]?.start ?? "")[0];
  const times = spans.map((span): [number, number] => {
    const [seconds, ms] = split(span.start);
    const start = (seconds - base) * 1e3 + ms;
    return [start, start + Math.max(0, (span.duration_ns || 0) / 1e6)];
  });
  const { low, high, middle } = spans.length ? extent(times) : { low: 0, high: 0, middle: 0 };
  const above = parents(spans);
  const ids = new Set(spans.map((span) => span.span_id));
  const nodes = spans.map((span, at): Node => {
    const [start, end] = times[at] ?? [low, low];
    const parent = above[at] ?? -1;
    const isFarOff = Math.abs(start - middle) > FAR_MS;
    return { span, parent, children: [], depth: 0, start: start - low, end: end - low, isOrphan: span.parent_span_id !== "" && !ids.has(span.parent_span_id), isFarOff, below: 0 };
  });
  const byStart = nodes.map((_, at) => at).sort((a, b) => (nodes[a]?.start ?? 0) - (nodes[b]?.start ?? 0) || a - b);
  const roots: number[] = [];
  for (const at of byStart) {
    const node = nodes[at];
    if (node) (nodes[node.parent]?.children ?? roots).push(at);
  }
  const order: number[] = [];
  const waiting = roots.reverse();
  while (waiting.length) {
    const at = waiting.pop() ?? 0;
    order.push(at);
    const node = nodes[at];
    if (!node) continue;
    node.depth = (nodes[node.parent]?.depth ?? -1) + 1;
    for (let child = node.children.length - 1; child >= 0; child -= 1) waiting.push(node.children[child] ?? 0);
  }
  for (let at = order.length - 1; at >= 0; at -= 1) {
    const node = nodes[order[at] ?? 0];
    const parent = node && nodes[node.parent];
    if (parent) parent.below += node.below + 1;
  }
  const services = [...new Set(order.map((at) => nodes[at]?.span.service ?? ""))];
  const errors = spans.filter((span) => span.status?.code === "error").length;
  return { nodes, order, start: base * 1e3 + low, duration: Math.max(high - low, 0), services, errors };
}

/** Time that a span spent in none of its children, in milliseconds. */
export function selfTime(tree: Tree, at: number): number {
  const node = tree.nodes[at];
  if (!node) return 0;
  let [own, until] = [node.end - node.start, node.start];
  // Children are by start; where two run at once, the time counts once.
  for (const place of node.children) {
    const child = tree.nodes[place];
    if (!child) continue;
    const [from, to] = [Math.max(child.start, until), Math.min(child.end, node.end)];
    if (to > from) own -= to - from;
    until = Math.max(until, to);
  }
  return Math.max(0, own);
}

/** By how many milliseconds a span starts before its parent (negative) or after its parent's end: clocks that differ. */
export function skew(tree: Tree, at: number): number {
  const node = tree.nodes[at];
  const parent = node && tree.nodes[node.parent];
  if (!parent) return 0;
  if (node.start < parent.start) return node.start - parent.start;
  // What was sent off, as to a queue, starts later by right.
  if (node.start > parent.end && node.span.kind !== "consumer") return node.start - parent.end;
  return 0;
}

/** Places in `order` that are shown while the nodes of these span ids are folded. */
export function unfolded(tree: Tree, folded: ReadonlySet<string>): number[] {
  if (!folded.size) return tree.order;
  const shown: number[] = [];
  for (let at = 0; at < tree.order.length; at += 1) {
    const place = tree.order[at] ?? 0;
    shown.push(place);
    const node = tree.nodes[place];
    if (node && folded.has(node.span.span_id)) at += node.below;
  }
  return shown;
}

/** The nodes above a node. */
export function ancestors(tree: Tree, at: number): number[] {
  const above: number[] = [];
  for (let place = tree.nodes[at]?.parent ?? -1; place >= 0; place = tree.nodes[place]?.parent ?? -1) above.push(place);
  return above;
}
