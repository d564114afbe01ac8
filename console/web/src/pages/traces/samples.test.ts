import assert from "node:assert/strict";
import { test } from "node:test";
import type { GpuSamples } from "../../lib/types/traces";
import { gpuCharts } from "./samples";

const time = (second: number) => new Date(1.7e12 + second * 1e3).toISOString();
const samples = (metric: string, points: [number, number | null][], more: Partial<GpuSamples> = {}): GpuSamples => ({
  metric, unit: "1", type: "gauge", tenant: "t", service: "", attributes: { "hw.id": "GPU-0" }, resource: { "k8s.node.name": "n" },
  points: points.map(([at, value]) => [time(at), value]), ...more,
});

test("series of one metric share their times, each value holds until the next", () => {
  const [chart] = gpuCharts([samples("hw.gpu.utilization", [[0, 1], [10, 2]]), samples("hw.gpu.utilization", [[5, 7], [15, 8]], { attributes: { "hw.id": "GPU-1" } })], 1.7e9);
  assert.deepEqual(chart?.times.map(Math.round), [0, 5, 10, 15]);
  assert.deepEqual(chart?.series, [{ label: "n · GPU-0", values: [1, 1, 2, 2] }, { label: "n · GPU-1", values: [null, 7, 7, 8] }]);
});

test("a counter is shown as its growth a second, and not where it starts again", () => {
  const [chart] = gpuCharts([samples("weir.gpu.time", [[0, 0], [10, 5], [20, 1], [30, 3], [40, 3]], { type: "sum" })], 1.7e9);
  assert.equal(chart?.isRate, true);
  assert.deepEqual(chart?.series[0]?.values, [0.5, 0.2, 0]);
});

test("utilisation comes first; what has no values is left out", () => {
  const charts = gpuCharts([samples("hw.temperature", [[0, 60], [1, 61]]), samples("x", [[0, null]]), samples("hw.gpu.utilization", [[0, 1], [1, 1]])], 1.7e9);
  assert.deepEqual(charts.map(({ metric }) => metric), ["hw.gpu.utilization", "hw.temperature"]);
});
