//! The whole trace in small; a drag over it zooms.
import type { TargetedPointerEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { color, theme } from "../../lib/theme";
import { useWidth } from "../../ui/useWidth";
import { share, type View } from "./axis";
import type { Tree } from "./tree";
import { w } from "./words";

const HEIGHT = 54;
const LEAST_DRAG = 4;

export function Minimap({ tree, view, colors, onView }: { tree: Tree; view: View; colors: Map<string, string>; onView: (view: View | null) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(canvas);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  useEffect(() => {
    if (canvas.current && width) draw(canvas.current, width, tree, colors);
  }, [tree, width, theme.value]);
  const timeAt = (event: TargetedPointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return (Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) || 0) * tree.duration;
  };
  const end = () => {
    if (!drag) return;
    const [from, to] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
    setDrag(null);
    if (width && ((to - from) / tree.duration) * width >= LEAST_DRAG) onView({ from, to });
  };
  const whole = { from: 0, to: tree.duration || 1 };
  const marked = drag ? { from: Math.min(drag.from, drag.to), to: Math.max(drag.from, drag.to) } : view;
  const [left, right] = [share(whole, marked.from), share(whole, marked.to)];
  return (
    <div
      class="minimap"
      title={w.overview()}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        const at = timeAt(event);
        setDrag({ from: at, to: at });
      }}
      onPointerMove={(event) => drag && setDrag({ ...drag, to: timeAt(event) })}
      onPointerUp={end}
      onPointerCancel={() => setDrag(null)}
      onDblClick={() => onView(null)}
    >
      <canvas ref={canvas} style={{ height: `${HEIGHT}px` }} role="img" aria-label={w.overview()} />
      <i class="minimap-off" style={{ left: 0, width: `${left * 100}%` }} />
      <i class="minimap-off" style={{ left: `${right * 100}%`, right: 0 }} />
    </div>
  );
}

function draw(canvas: HTMLCanvasElement, width: number, tree: Tree, colors: Map<string, string>) {
  const ratio = devicePixelRatio;
  canvas.width = width * ratio;
  canvas.height = HEIGHT * ratio;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const shades = new Map([...colors].map(([service, name]) => [service, color(name)]));
  const bad = color("bad");
  const count = tree.order.length;
  const height = Math.max(1, Math.min(4, (HEIGHT - 4) / count));
  const scale = width / (tree.duration || 1);
  const bar = (place: number, at: number, isBad: boolean) => {
    const node = tree.nodes[place];
    if (!node || node.isFarOff) return;
    context.fillStyle = isBad ? bad : (shades.get(node.span.service) ?? "");
    const top = 2 + (at / Math.max(count, 12)) * (HEIGHT - 6);
    context.fillRect(node.start * scale, top, Math.max(1, (node.end - node.start) * scale), height);
  };
  tree.order.forEach((place, at) => bar(place, at, false));
  // Failing spans are drawn last: no other hides them.
  tree.order.forEach((place, at) => tree.nodes[place]?.span.status?.code === "error" && bar(place, at, true));
}
