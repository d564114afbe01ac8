//! One GPU as a cell of the grid.
import { here } from "../../lib/url";
import type { Gpu } from "./fleet";
import { heat, type Measure } from "./heat";
import { w } from "./words";

/** Part of the colour at its strongest: text on it keeps its contrast. */
const STRONGEST = 40;

export function GpuCell({ gpu, measure }: { gpu: Gpu; measure: Measure }) {
  const shown = heat(gpu, measure);
  const marks = [gpu.failed.length > 0 && w.legend_failed(), gpu.idle && w.legend_idle(), gpu.throttled.length > 0 && w.legend_throttled()].filter(Boolean);
  const about = `${gpu.node} ${gpu.name} · ${w[measure]()} ${shown?.text ?? "–"}${marks.length ? ` · ${marks.join(", ")}` : ""}`;
  const background = shown ? `color-mix(in srgb, var(--${shown.tone}) ${Math.round(shown.level * STRONGEST)}%, var(--raised))` : "var(--raised)";
  const kind = gpu.failed.length ? "gp-cell-failed" : gpu.idle ? "gp-cell-idle" : gpu.throttled.length ? "gp-cell-throttled" : "";
  return (
    <a class={`gp-cell ${kind}`} href={here({ node: gpu.node, gpu: gpu.id })} title={about} aria-label={about} style={{ background }}>
      {shown?.text ?? "–"}
    </a>
  );
}
