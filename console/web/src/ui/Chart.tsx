//! Charts of values over time, drawn by uPlot on a canvas.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { short } from "../lib/format";
import { color, theme } from "../lib/theme";
import { clock, zoom } from "../lib/time";

export interface Series {
  label: string;
  /** Name of a colour of the theme: `s1`, `sev-error`. */
  color: string;
  /** One for each time; null where there is none. */
  values: (number | null)[];
}

/** A horizontal line, as the threshold of an alert. */
export interface Threshold {
  label: string;
  value: number;
  color?: string;
}

/** A vertical line, as an event. */
export interface Mark {
  /** Unix seconds. */
  at: number;
  label: string;
  color?: string;
}

/** A stretch of time, as that in which an alert fired. */
export interface Band {
  /** Unix seconds. */
  from: number;
  to: number;
  color?: string;
}

export interface ChartProps {
  label: string;
  /** Unix seconds, ascending. */
  times: number[];
  series: Series[];
  /** Bars stand on each other; lines do not, unless `stacked`; points are single. */
  kind?: "line" | "bars" | "points";
  stacked?: boolean;
  height?: number;
  /** Of values, on the axis and in the legend. */
  unit?: (value: number) => string;
  /** The whole stretch shown, in unix seconds, also where no values are. */
  from?: number;
  to?: number;
  least?: number;
  most?: number;
  log?: boolean;
  thresholds?: Threshold[];
  marks?: Mark[];
  /** Charts with the same name show the cursor at the same time. */
  sync?: string;
  legend?: boolean;
  /** Of times, on the axis and beside the cursor: `at` in unix seconds; without it, the clock. */
  axisText?: (at: number) => string;
  /** Stretches that are shaded, as those in which an alert fired. */
  bands?: Band[];
  /** A drag shows that stretch; without it, the page's time changes. */
  onZoom?: (from: number, to: number) => void;
  onClick?: (index: number) => void;
}

/** Sums from below, so that each series stands on those before it; where no series has a value, there is none. */
export function stack(series: Series[]): (number | null)[][] {
  const sums: number[] = [];
  const isEmpty = series[0]?.values.map((_, at) => series.every(({ values }) => (values[at] ?? null) === null)) ?? [];
  return series.map(({ values }) => values.map((value, at) => (isEmpty[at] ? null : (sums[at] = (sums[at] ?? 0) + (value ?? 0)))));
}

export function Chart(props: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const { times, series, kind = "line", height = 160, stacked = kind === "bars" } = props;
  const look = [theme.value, kind, height, stacked, props.sync, props.log, series.map((one) => [one.label, one.color])];
  useEffect(() => {
    if (!place.current) return;
    const made = new uPlot(options(latest, place.current.clientWidth || 600), data(latest.current), place.current);
    plot.current = made;
    const resized = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry?.contentRect.width ?? 0);
      if (width && width !== made.width) made.setSize({ width, height });
    });
    resized.observe(place.current);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [JSON.stringify(look)]);
  useEffect(() => {
    plot.current?.setData(data(latest.current));
  }, [times, series, props.from, props.to, props.thresholds, props.marks, props.bands]);
  return (
    <figure class="chart" aria-label={props.label}>
      <div ref={place} class="chart-canvas" style={{ height: `${height}px` }} />
      {props.legend !== false && series.length > 1 && (
        <figcaption class="legend">
          {series.map((one) => (
            <span key={one.label} class="legend-item" title={one.label}>
              <i class="swatch" style={{ background: `var(--${one.color})` }} />
              {one.label}
            </span>
          ))}
        </figcaption>
      )}
    </figure>
  );
}

function isStacked({ kind = "line", stacked = kind === "bars" }: ChartProps): boolean {
  return stacked;
}

/** uPlot draws the last series on top: stacks come from the highest down. */
function data(props: ChartProps): uPlot.AlignedData {
  const values = isStacked(props) ? stack(props.series).reverse() : props.series.map((one) => one.values);
  return [props.times, ...values];
}

function options(latest: { current: ChartProps }, width: number): uPlot.Options {
  const props = latest.current;
  const { kind = "line", height = 160, unit = short } = props;
  const ordered = isStacked(props) ? [...props.series].reverse() : props.series;
  const [ink, faint, grid] = [color("ink-2"), color("ink-3"), color("line")];
  const bars = uPlot.paths.bars?.({ size: [0.9, 64], align: 1 });
  const drawn = (one: Series): uPlot.Series => {
    const shade = color(one.color);
    if (kind === "points") return { label: one.label, stroke: shade, paths: () => null, points: { show: true, size: 6, fill: shade } };
    if (kind === "bars") return { label: one.label, fill: shade, width: 0, paths: bars, points: { show: false } };
    const fill = isStacked(props) ? shade : undefined;
    return { label: one.label, stroke: shade, width: 1.5, fill, points: { show: false }, spanGaps: false };
  };
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: faint, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
  const most = (low: number, high: number): uPlot.Range.MinMax => {
    const { least, most, thresholds = [], log } = latest.current;
    const values = thresholds.map((one) => one.value);
    if (log) return [low > 0 ? low / 1.5 : 0.1, Math.max(high, ...values, 1) * 1.5];
    const bottom = least ?? Math.min(0, low);
    const top = most ?? Math.max(high, ...values) * 1.08;
    return [bottom, top > bottom ? top : bottom + 1];
  };
  return {
    width,
    height,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: {
      drag: { x: true, y: false, setScale: false },
      ...(props.sync ? { sync: { key: props.sync } } : {}),
      points: kind === "line" ? {} : { show: false },
    },
    scales: {
      x: {
        time: true,
        range: (_, low, high) => [latest.current.from ?? low, latest.current.to ?? high],
      },
      y: { ...(props.log ? { distr: 3 } : {}), range: (_, low, high) => most(low ?? 0, high ?? 1) },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: 68, values: (_, splits, __, ___, step) => splits.map((at) => latest.current.axisText?.(at) ?? tickText(at, step)) },
      { ...axis, size: (_, values) => Math.max(52, 14 + 6.4 * Math.max(0, ...(values ?? []).map((text) => text.length))), values: (_, splits) => splits.map((value) => (value === null ? "" : unit(value))) },
    ],
    series: [{}, ...ordered.map(drawn)],
    hooks: {
      setSelect: [
        (plot) => {
          if (plot.select.width < 4) return;
          const [from, to] = [plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")];
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          const then = latest.current.onZoom ?? ((from, to) => zoom(from * 1e3, to * 1e3));
          then(from, to);
        },
      ],
      drawAxes: [(plot) => shaded(plot, latest.current)],
      draw: [(plot) => overlays(plot, latest.current, ink)],
      ready: [
        (plot) => {
          tooltip(plot, latest);
          plot.over.addEventListener("click", () => {
            const at = under(plot, latest.current);
            if (at !== null) latest.current.onClick?.(at);
          });
        },
      ],
    },
  };
}

/** The time under the cursor: the nearest, or that of the bar, which begins with its time. */
function under(plot: uPlot, { kind, times }: ChartProps): number | null {
  const nearest = plot.cursor.idx ?? null;
  if (nearest === null || kind !== "bars") return nearest;
  const at = plot.posToVal(plot.cursor.left ?? 0, "x");
  return (times[nearest] ?? at) > at ? Math.max(0, nearest - 1) : nearest;
}

function tickText(at: number, step: number): string {
  const time = new Date(at * 1e3);
  const two = (value: number) => String(value).padStart(2, "0");
  if (step >= 86400) return `${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const minute = `${two(time.getHours())}:${two(time.getMinutes())}`;
  if (step < 1) return `${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  if (step < 60) return `${minute}:${two(time.getSeconds())}`;
  return minute === "00:00" ? `${two(time.getMonth() + 1)}-${two(time.getDate())}` : minute;
}

/** Bands lie behind the values. */
function shaded(plot: uPlot, { bands = [] }: ChartProps) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.globalAlpha = 0.12;
  for (const { from, to, color: name = "bad" } of bands) {
    const left = Math.max(bbox.left, plot.valToPos(from, "x", true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, "x", true));
    if (right < left) continue;
    ctx.fillStyle = color(name);
    ctx.fillRect(left, bbox.top, Math.max(right - left, devicePixelRatio), bbox.height);
  }
  ctx.restore();
}

function overlays(plot: uPlot, { thresholds = [], marks = [] }: ChartProps, ink: string) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  let above = Number.NEGATIVE_INFINITY;
  for (const { value, label, color: name = "bad" } of [...thresholds].sort((a, b) => b.value - a.value)) {
    const y = plot.valToPos(value, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = ctx.fillStyle = color(name);
    ctx.setLineDash([6, 4]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.textAlign = "right";
    // Below its line, where the label of the one above would be in its place.
    const isClose = y - above < 14 * devicePixelRatio;
    ctx.fillText(label, bbox.left + bbox.width - 4, isClose ? y + 12 * devicePixelRatio : y - 4);
    above = y;
  }
  ctx.setLineDash([]);
  // Labels of marks close to each other stand below each other, and those at the right end to the left of their mark.
  const ends: number[] = [];
  for (const { at, label, color: name } of [...marks].sort((a, b) => a.at - b.at)) {
    const x = plot.valToPos(at, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = name ? color(name) : ink;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const width = ctx.measureText(label).width + 8;
    const isLast = x + width > bbox.left + bbox.width;
    const free = ends.findIndex((end) => end < (isLast ? x - width : x));
    const line = free === -1 ? ends.length : free;
    if (line * 13 * devicePixelRatio > bbox.height - 20) continue;
    ends[line] = isLast ? x : x + width;
    ctx.textAlign = isLast ? "right" : "left";
    ctx.fillText(label, isLast ? x - 4 : x + 4, bbox.top + (12 + line * 13) * devicePixelRatio);
  }
  ctx.restore();
}

/** A box beside the cursor with the time and the values there. */
function tooltip(plot: uPlot, latest: { current: ChartProps }) {
  const box = document.createElement("div");
  box.className = "chart-tip";
  box.hidden = true;
  plot.over.append(box);
  const show = () => {
    const { series, times, unit = short, axisText } = latest.current;
    const at = under(plot, latest.current);
    const time = at === null ? undefined : times[at];
    if (at === null || time === undefined || (plot.cursor.left ?? -1) < 0) {
      box.hidden = true;
      return;
    }
    const line = (text: string, name?: string) => {
      const row = document.createElement("div");
      if (name) {
        const swatch = document.createElement("i");
        swatch.className = "swatch";
        swatch.style.background = `var(--${name})`;
        row.append(swatch);
      }
      row.append(text);
      return row;
    };
    const shown = series.filter((one) => one.values[at] !== null && one.values[at] !== undefined).slice(0, 12);
    const rows = shown.map((one) => line(`${one.label}: ${unit(one.values[at] ?? 0)}`, one.color));
    box.replaceChildren(line(axisText?.(time) ?? clock(time * 1e3, 0)), ...rows);
    box.hidden = false;
    const left = plot.cursor.left ?? 0;
    const isRight = left > plot.over.clientWidth / 2;
    box.style.left = isRight ? "" : `${left + 12}px`;
    box.style.right = isRight ? `${plot.over.clientWidth - left + 12}px` : "";
  };
  plot.over.addEventListener("mousemove", () => requestAnimationFrame(show));
  plot.over.addEventListener("mouseleave", () => {
    box.hidden = true;
  });
}
