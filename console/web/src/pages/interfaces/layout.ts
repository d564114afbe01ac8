//! A directed graph in layers: callers at the left, callees at the right.
import type { Dependency } from "../../lib/types/traces";

export interface Placed {
  name: string;
  /** What kind of callee it is, where it sends no spans itself. */
  peer: Dependency["peer"];
  layer: number;
  x: number;
  y: number;
}

export interface Edge {
  from: Placed;
  to: Placed;
  of: Dependency;
  /** It goes from right to left, as calls in a circle do. */
  isBack: boolean;
}

export interface Graph {
  nodes: Placed[];
  edges: Edge[];
  width: number;
  height: number;
  /** Services there are, also those that are left out. */
  all: number;
}

export const NODE = { width: 150, height: 32 };
const GAP = { x: 110, y: 16 };
/** Sweeps that bring neighbours near each other. */
const SWEEPS = 8;
/** Nodes of a layer before it takes a second column. */
const TALL = 24;

/** The services with most calls, and the calls between them. */
function largest(dependencies: Dependency[], most: number): { kept: Dependency[]; all: number } {
  const calls = new Map<string, number>();
  for (const { parent, child, calls: count } of dependencies) {
    calls.set(parent, (calls.get(parent) ?? 0) + count);
    calls.set(child, (calls.get(child) ?? 0) + count);
  }
  if (calls.size <= most) return { kept: dependencies, all: calls.size };
  const names = new Set([...calls].sort(([, a], [, b]) => b - a).slice(0, most).map(([name]) => name));
  return { kept: dependencies.filter(({ parent, child }) => names.has(parent) && names.has(child)), all: calls.size };
}

/** Of each node the nodes that it calls, with edges that close a circle turned around. */
function acyclic(names: string[], edges: Dependency[]): { below: Map<string, string[]>; back: Set<Dependency> } {
  const out = new Map<string, Dependency[]>(names.map((name) => [name, []]));
  const called = new Map<string, number>();
  for (const edge of edges) {
    out.get(edge.parent)?.push(edge);
    called.set(edge.child, (called.get(edge.child) ?? 0) + 1);
  }
  // From those that nobody calls: what leads back to a node that is being left is a circle.
  const order = [...names].sort((a, b) => (called.get(a) ?? 0) - (called.get(b) ?? 0) || (out.get(b)?.length ?? 0) - (out.get(a)?.length ?? 0));
  const state = new Map<string, "open" | "done">();
  const back = new Set<Dependency>();
  for (const root of order) {
    if (state.has(root)) continue;
    state.set(root, "open");
    const stack = [{ name: root, next: 0 }];
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const edge = out.get(top.name)?.[top.next];
      if (!edge) {
        state.set(top.name, "done");
        stack.pop();
        continue;
      }
      top.next += 1;
      const seen = state.get(edge.child);
      if (seen === "open") back.add(edge);
      else if (!seen) {
        state.set(edge.child, "open");
        stack.push({ name: edge.child, next: 0 });
      }
    }
  }
  const below = new Map<string, string[]>(names.map((name) => [name, []]));
  for (const edge of edges) {
    if (edge.parent === edge.child) continue;
    const [from, to] = back.has(edge) ? [edge.child, edge.parent] : [edge.parent, edge.child];
    below.get(from)?.push(to);
  }
  return { below, back };
}

/** For each node how many calls lead to it at most. */
function layers(names: string[], below: Map<string, string[]>): Map<string, number> {
  const waits = new Map<string, number>(names.map((name) => [name, 0]));
  for (const list of below.values()) for (const name of list) waits.set(name, (waits.get(name) ?? 0) + 1);
  const layer = new Map<string, number>(names.map((name) => [name, 0]));
  const ready = names.filter((name) => !waits.get(name));
  for (let name = ready.pop(); name !== undefined; name = ready.pop()) {
    for (const child of below.get(name) ?? []) {
      layer.set(child, Math.max(layer.get(child) ?? 0, (layer.get(name) ?? 0) + 1));
      const left = (waits.get(child) ?? 1) - 1;
      waits.set(child, left);
      if (left === 0) ready.push(child);
    }
  }
  return layer;
}

export function layout(dependencies: Dependency[], most: number): Graph {
  const { kept, all } = largest(dependencies, most);
  const names = [...new Set(kept.flatMap(({ parent, child }) => [parent, child]))].sort();
  const { below, back } = acyclic(names, kept);
  const layer = layers(names, below);
  const columns: string[][] = [];
  for (const name of names) {
    const at = layer.get(name) ?? 0;
    while (columns.length <= at) columns.push([]);
    columns[at]?.push(name);
  }
  const near = new Map<string, string[]>(names.map((name) => [name, []]));
  for (const { parent, child } of kept) {
    near.get(parent)?.push(child);
    near.get(child)?.push(parent);
  }
  const place = new Map<string, number>();
  // Each column about the same middle, so that places of different columns compare.
  const settle = (column: string[]) => column.forEach((name, at) => place.set(name, at - (column.length - 1) / 2));
  columns.forEach(settle);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const column of sweep % 2 ? [...columns].reverse() : columns) {
      const middle = new Map(
        column.map((name) => {
          const others = (near.get(name) ?? []).filter((other) => layer.get(other) !== layer.get(name));
          const sum = others.reduce((sum, other) => sum + (place.get(other) ?? 0), 0);
          return [name, others.length ? sum / others.length : (place.get(name) ?? 0)];
        }),
      );
      column.sort((a, b) => (middle.get(a) ?? 0) - (middle.get(b) ?? 0));
      settle(column);
    }
  }
  // A layer of very many stands in several columns.
  const shown = columns.flatMap((column) => Array.from({ length: Math.ceil(column.length / TALL) }, (_, at) => column.slice(at * TALL, (at + 1) * TALL)));
  const height = Math.max(0, ...shown.map((column) => column.length * (NODE.height + GAP.y)));
  const peers = new Map(kept.map(({ child, peer }) => [child, peer]));
  const senders = new Set(kept.flatMap(({ parent, child, peer }) => (peer ? [parent] : [parent, child])));
  const placed = new Map<string, Placed>();
  shown.forEach((column, x) => {
    const top = (height - column.length * (NODE.height + GAP.y)) / 2;
    column.forEach((name, at) => {
      placed.set(name, { name, peer: senders.has(name) ? undefined : peers.get(name), layer: layer.get(name) ?? 0, x: x * (NODE.width + GAP.x), y: top + at * (NODE.height + GAP.y) + GAP.y / 2 });
    });
  });
  const edges = kept.flatMap((of): Edge[] => {
    const [from, to] = [placed.get(of.parent), placed.get(of.child)];
    return from && to ? [{ from, to, of, isBack: back.has(of) }] : [];
  });
  return { nodes: [...placed.values()], edges, width: Math.max(0, shown.length * (NODE.width + GAP.x) - GAP.x), height, all };
}

/** The calls to and from one service. */
export function around(dependencies: Dependency[], service: string): Dependency[] {
  return dependencies.filter(({ parent, child }) => parent === service || child === service);
}
