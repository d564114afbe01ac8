//! Durations of traces over time: outliers are seen, a click opens one, a drag zooms into time and duration.
import type { TargetedPointerEvent } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, ms } from "../../lib/format";
import { color, theme } from "../../lib/theme";
import { clock } from "../../lib/time";
import type { TraceSummary } from "../../lib/types/traces";
import { useWidth } from "../../ui/useWidth";
import { bounds, durationAt, durationTicks, EDGE, nearest, type Plane, timeAt, timeTicks, x, y } from "./plane";
import { w } from "./words";

const HEIGHT = 190;
/** How near to a point one points at it, in pixels. */
const REACH = 14;
/** A drag of less is a click. */
const LEAST_DRAG = 5;
/** A drag lower than this is about time alone. */
const LEAST_BOX = 18;

export interface Box {
  from: number;
  to: number;
  /** Milliseconds; absent where the drag was about time alone. */
  least?: number;
  most?: number;
}

interface Props {
  traces: TraceSummary[];
  from: number;
  to: number;
  log: boolean;
  onOpen: (trace: TraceSummary) => void;
  onZoom: (box: Box) => void;
}

export function Scatter({ traces, from, to, log, onOpen, onZoom }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(canvas);
  const [over, setOver] = useState<number | null>(null);
  const [drag, setDrag] = useState<{ x0: number; y0: number; x1: number; y1: number } | null>(null);
  const plane: Plane = useMemo(() => ({ width, height: HEIGHT, from, to, log, ...bounds(traces.map((one) => one.duration_ns / 1e6), log) }), [traces, from, to, log, width]);
  const points = useMemo(() => traces.map((one) => ({ x: x(plane, new Date(one.start).getTime()), y: y(plane, one.duration_ns / 1e6), bad: one.error_count > 0 })), [plane]);
  useEffect(() => {
    if (canvas.current && width) draw(canvas.current, plane, points, over);
  }, [points, over, theme.value]);
  const place = (event: TargetedPointerEvent<HTMLCanvasElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top] as const;
  };
  const move = (event: TargetedPointerEvent<HTMLCanvasElement>) => {
    const [left, top] = place(event);
    if (drag) setDrag({ ...drag, x1: left, y1: top });
    else setOver(nearest(points, left, top, REACH));
  };
  const end = (event: TargetedPointerEvent<HTMLCanvasElement>) => {
    if (!drag) return;
    const [left, top] = place(event);
    setDrag(null);
    if (Math.abs(left - drag.x0) < LEAST_DRAG) {
      const hit = traces[nearest(points, left, top, REACH) ?? -1];
      if (hit) onOpen(hit);
      return;
    }
    const [x0, x1] = [Math.min(left, drag.x0), Math.max(left, drag.x0)];
    const [y0, y1] = [Math.min(top, drag.y0), Math.max(top, drag.y0)];
    const times = { from: timeAt(plane, x0), to: timeAt(plane, x1) };
    onZoom(y1 - y0 < LEAST_BOX ? times : { ...times, least: durationAt(plane, y1), most: durationAt(plane, y0) });
  };
  const trace = over === null ? undefined : traces[over];
  const at = over === null ? undefined : points[over];
  const isTall = drag && Math.abs(drag.y1 - drag.y0) >= LEAST_BOX;
  return (
    <div class="scatter">
      <canvas
        ref={canvas}
        class={trace ? "scatter-canvas scatter-hit" : "scatter-canvas"}
        style={{ height: `${HEIGHT}px` }}
        role="img"
        aria-label={w.scatter_label({ n: count(traces.length) })}
        onPointerDown={(event) => {
          const [left, top] = place(event);
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag({ x0: left, y0: top, x1: left, y1: top });
        }}
        onPointerMove={move}
        onPointerUp={end}
        onPointerCancel={() => setDrag(null)}
        onPointerLeave={() => setOver(null)}
      />
      {drag && Math.abs(drag.x1 - drag.x0) >= LEAST_DRAG && (
        <div
          class="scatter-drag"
          style={{
            left: `${Math.min(drag.x0, drag.x1)}px`,
            width: `${Math.abs(drag.x1 - drag.x0)}px`,
            top: `${isTall ? Math.min(drag.y0, drag.y1) : EDGE.top}px`,
            height: `${isTall ? Math.abs(drag.y1 - drag.y0) : HEIGHT - EDGE.top - EDGE.bottom}px`,
          }}
        />
      )}
      {trace && at && !drag && (
        <div class="scatter-tip" style={at.x > width / 2 ? { right: `${width - at.x + 12}px`, top: `${at.y}px` } : { left: `${at.x + 12}px`, top: `${at.y}px` }}>
          <div class="ellipsis">
            {trace.root_service || w.no_root()} · {trace.root_name}
          </div>
          <div class="ellipsis">
            <b>{ms(trace.duration_ns / 1e6)}</b> · {clock(trace.start)}
          </div>
          {trace.error_count > 0 && (
            <div class="tone-bad">
              {w.errors()}: {count(trace.error_count)}
            </div>
          )}
        </div>
      )}
    </div>
  );
}

function draw(canvas: HTMLCanvasElement, plane: Plane, points: { x: number; y: number; bad: boolean }[], over: number | null) {
  const ratio = devicePixelRatio;
  const { width, height } = plane;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const [line, faint, good, bad, ink] = ["line", "ink-3", "s1", "bad", "ink"].map(color);
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = faint ?? "";
  context.strokeStyle = line ?? "";
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.beginPath();
  for (const value of durationTicks(plane)) {
    const top = Math.round(y(plane, value)) + 0.5;
    context.moveTo(EDGE.left, top);
    context.lineTo(width - EDGE.right, top);
    context.fillText(ms(value), EDGE.left - 8, top);
  }
  context.stroke();
  const { ticks, every } = timeTicks(plane);
  for (const at of ticks) {
    const left = x(plane, at);
    const text = clock(at);
    const shown = every >= 864e5 ? text.slice(5, 10) : every >= 6e4 ? text.slice(11, 16) : every >= 1e3 ? text.slice(11, 19) : text.slice(17);
    context.textAlign = left < EDGE.left + 20 ? "left" : left > width - 30 ? "right" : "center";
    context.fillText(shown, left, height - 9);
  }
  // Failing ones are drawn last, so that no other hides them.
  for (const isBad of [false, true]) {
    context.fillStyle = (isBad ? bad : good) ?? "";
    context.globalAlpha = isBad ? 0.9 : 0.55;
    for (const point of points) {
      if (point.bad !== isBad || point.x < EDGE.left || point.x > width - EDGE.right + 1) continue;
      context.beginPath();
      context.arc(point.x, point.y, isBad ? 3 : 2.5, 0, 7);
      context.fill();
    }
  }
  const marked = over === null ? undefined : points[over];
  if (!marked) return;
  context.globalAlpha = 1;
  context.strokeStyle = ink ?? "";
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(marked.x, marked.y, 6, 0, 7);
  context.stroke();
}
