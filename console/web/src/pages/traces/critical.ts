//! When each span was what its trace waited for: as `/critical_path` reckons it, with the times.
//!
//! From the end of the trace back to its start, time belongs to the child that ended last before it, and where no child
//! runs, to the span itself. Children are cut to their parent's time.
import type { Tree } from "./tree";

export type Segment = [from: number, to: number];

interface Frame {
  /** -1: what lies above all roots. */
  at: number;
  below: number[];
  low: number;
  high: number;
  /** Where the walk is by now. */
  now: number;
  seen: number;
}

export function criticalSegments(tree: Tree): Map<number, Segment[]> {
  const { nodes, duration } = tree;
  const byEnd = (list: number[]) => [...list].sort((a, b) => (nodes[b]?.end ?? 0) - (nodes[a]?.end ?? 0) || (nodes[a]?.start ?? 0) - (nodes[b]?.start ?? 0));
  const roots = byEnd(nodes.flatMap((node, at) => (node.parent < 0 && !node.isFarOff ? [at] : [])));
  const found = new Map<number, Segment[]>();
  const own = (at: number, from: number, to: number) => {
    if (at < 0 || to <= from) return;
    const known = found.get(at);
    if (known) known.push([from, to]);
    else found.set(at, [[from, to]]);
  };
  const stack: Frame[] = [{ at: -1, below: roots, low: 0, high: duration, now: duration, seen: 0 }];
  for (let frame = stack.at(-1); frame; frame = stack.at(-1)) {
    const place = frame.below[frame.seen];
    const child = place === undefined ? undefined : nodes[place];
    if (place === undefined || !child) {
      own(frame.at, frame.low, frame.now);
      stack.pop();
      continue;
    }
    frame.seen += 1;
    const [low, high] = [Math.max(child.start, frame.low), Math.min(child.end, frame.high)];
    // Nothing of it within its parent; or it still ran when what comes behind it on the path began.
    if (low > high || high > frame.now) continue;
    own(frame.at, high, frame.now);
    frame.now = low;
    stack.push({ at: place, below: byEnd(child.children), low, high, now: high, seen: 0 });
  }
  return found;
}
