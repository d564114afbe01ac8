import assert from "node:assert/strict";
import { test } from "node:test";
import type { Sample } from "../../lib/prom";
import { fleet, matches, totals, type Samples } from "./fleet";
import { heat } from "./heat";
import { gpuQueries, hostQueries } from "./queries";
import { byTenant } from "./tenants";
import { memoryShares, timeShares } from "./shares";
import { workloads } from "./workloads";

const on = (host_name: string, hw_id: string, more: Record<string, string> = {}) => ({ host_name, hw_id, ...more });
const sample = (labels: Record<string, string>, value: number): Sample => ({ labels, value });
const pod = (namespace: string, name: string, tenant: string) => ({ tenant, k8s_namespace_name: namespace, k8s_pod_name: name, k8s_container_name: "main" });

const samples: Samples = {
  utilization: [sample(on("n1", "GPU-0", { hw_name: "gpu0", hw_model: "A100" }), 0.8), sample(on("n1", "GPU-1", { hw_name: "gpu1" }), 0)],
  used: [sample(on("n1", "GPU-0"), 60), sample(on("n1", "GPU-1"), 30), sample(on("n1", "MIG-0", { hw_parent: "GPU-1" }), 5)],
  limit: [sample(on("n1", "GPU-0"), 80), sample(on("n1", "GPU-1"), 80), sample(on("n1", "MIG-0", { hw_parent: "GPU-1" }), 40)],
  temperature: [sample(on("n1", "GPU-0", { hw_sensor_location: "gpu" }), 90), sample(on("n1", "GPU-0", { hw_sensor_location: "memory" }), 70)],
  idle: [sample(on("n1", "GPU-1"), 0)],
  recentXids: [sample(on("n1", "GPU-0", { weir_gpu_policy: "restart_machine" }), 1), sample(on("n1", "GPU-1", { weir_gpu_policy: "restart_program" }), 1)],
  podMemory: [sample(on("n1", "GPU-0", pod("a", "ocr", "acme")), 40), sample(on("n1", "GPU-0", pod("b", "asr", "globex")), 15), sample(on("n1", "GPU-1", pod("a", "idle", "acme")), 30)],
  podTime: [sample(on("n1", "GPU-0", pod("a", "ocr", "acme")), 0.5), sample(on("n1", "GPU-0", pod("b", "asr", "globex")), 0.2)],
  busy: [sample(on("n1", "GPU-0"), 0.8)],
  unowned: [sample(on("n1", "GPU-0"), 0.1)],
  cpu: [sample({ host_name: "n1" }, 0.5), sample({ host_name: "n2" }, 0.1)],
};

test("nodes have their GPUs, instances and pods, and machines without GPUs are there too", () => {
  const nodes = fleet(samples);
  assert.deepEqual(nodes.map((node) => [node.name, node.gpus.map((gpu) => gpu.name), node.pods, node.tenants]), [
    ["n1", ["gpu0", "gpu1"], 3, ["acme", "globex"]],
    ["n2", [], 0, []],
  ]);
  const [first, second] = nodes[0]?.gpus ?? [];
  assert.deepEqual([first?.failed, first?.temperature, first?.memoryTemperature], [["restart_machine"], 90, 70]);
  assert.deepEqual([second?.failed, second?.idle, second?.migs], [[], true, [{ id: "MIG-0", model: "", used: 5, limit: 40 }]]);
  assert.deepEqual(totals(nodes), { nodes: 2, gpus: 2, inUse: 2, idle: 1, failed: 1, utilization: 0.4, power: null, used: 90, limit: 160, migs: 1 });
});

test("a tenant who sees pods alone still sees the GPUs that they are on", () => {
  const nodes = fleet({ podMemory: samples.podMemory?.slice(0, 1) });
  assert.deepEqual(nodes.map((node) => [node.name, node.gpus[0]?.id, node.gpus[0]?.limit]), [["n1", "GPU-0", null]]);
  // What the others leave is not known to it: nothing is said to be free.
  const [gpu] = fleet({ podMemory: samples.podMemory?.slice(0, 1), podTime: samples.podTime?.slice(0, 1) })[0]?.gpus ?? [];
  assert.ok(gpu);
  assert.deepEqual([memoryShares(gpu), timeShares(gpu)?.map((part) => part.kind)], [null, ["pod"]]);
  assert.deepEqual(byTenant(nodes).shares.map((share) => share.kind), ["tenant"]);
});

test("shares of memory and time add up to the whole GPU", () => {
  const [gpu, other] = fleet(samples)[0]?.gpus ?? [];
  assert.ok(gpu && other);
  const sum = (parts: { share: number }[] | null) => Number(parts?.reduce((sum, part) => sum + part.share, 0).toFixed(9));
  assert.deepEqual(memoryShares(gpu)?.map((part) => part.bytes), [40, 15, 5, 20]);
  assert.equal(sum(memoryShares(gpu)), 1);
  assert.deepEqual(timeShares(gpu)?.map((part) => Number(part.share.toFixed(2))), [0.5, 0.2, 0.1, 0.2]);
  assert.equal(timeShares(other), null);
  // More than the whole, as rates of counters that are read at other times may be.
  const over = { ...gpu, unowned: 0.6, used: 50, limit: 50 };
  assert.equal(sum(timeShares(over)), 1);
  assert.equal(sum(memoryShares(over)), 1);
  assert.ok(memoryShares(over)?.every((part) => part.share >= 0));
});

test("a hot GPU is told by colour, what is not known has none", () => {
  const [gpu] = fleet(samples)[0]?.gpus ?? [];
  assert.ok(gpu);
  assert.deepEqual([heat(gpu, "temperature")?.tone, heat(gpu, "utilization")?.text, heat(gpu, "power")], ["bad", "80", null]);
});

test("a filter finds nodes by name, pod and tenant", () => {
  const [one, two] = fleet(samples);
  assert.ok(one && two);
  assert.ok(matches(one, ["acme", "ocr"]) && !matches(two, ["acme"]) && matches(two, []));
});

test("queries name the node as text, whatever is in its name", () => {
  assert.ok(gpuQueries({ node: 'a"} or up{x="' }).used?.includes('{host_name="a\\"} or up{x=\\""}'));
  assert.ok(gpuQueries({ gpu: "GPU-1" }).busy?.includes('{hw_id="GPU-1"}'));
  assert.ok(!hostQueries({ gpu: "GPU-1" }).cpu?.includes("hw_id"));
});

test("containers have requests, limits and use, with the GPUs that they ask for", () => {
  const own = pod("a", "ocr", "acme");
  const all = workloads(
    {
      allowed: [
        sample({ ...own, __name__: "k8s_container_cpu_request_desired" }, 2),
        sample({ ...own, __name__: "k8s_container_memory_limit_desired_bytes" }, 100),
        sample({ ...own, __name__: "weir_k8s_container_resource_limit", weir_k8s_resource_name: "nvidia.com/gpu" }, 1),
      ],
      cpu: [sample(own, 1.5)],
      phase: [sample({ ...own, k8s_pod_status_phase: "Running" }, 1)],
    },
    fleet(samples).flatMap((node) => node.gpus),
  );
  const ocr = all.find((one) => one.pod === "ocr");
  assert.deepEqual([ocr?.cpu, ocr?.memory.limit, ocr?.gpus, ocr?.phase, ocr?.on, ocr?.gpuMemory], [{ request: 2, limit: null, used: 1.5 }, 100, 1, "Running", ["gpu0"], 40]);
  assert.equal(all.length, 3);
});

test("500 nodes of 8 GPUs are put together without a search for each", () => {
  const gpus = Array.from({ length: 4000 }, (_, at) => on(`node-${at >> 3}`, `GPU-${at}`, { hw_name: `gpu${at & 7}` }));
  const many: Samples = {};
  for (const name of ["utilization", "used", "limit", "temperature", "power", "busy", "unowned"]) many[name] = gpus.map((labels, at) => sample(labels, at % 100));
  many.podMemory = gpus.map((labels, at) => sample({ ...labels, ...pod(`ns${at % 50}`, `pod-${at}`, `t${at % 20}`) }, 1));
  const begun = performance.now();
  assert.equal(totals(fleet(many)).gpus, 4000);
  assert.ok(performance.now() - begun < 2000);
});

test("what tenants hold and use, what is nobody's and what is free are all GPUs", () => {
  const { shares, memory, time, gpus } = byTenant(fleet(samples));
  assert.deepEqual(shares.map((share) => [share.kind, share.tenant, share.pods, share.held, share.idle, share.memory]), [
    ["tenant", "acme", 2, 2, 1, 70],
    ["tenant", "globex", 1, 1, 0, 15],
    ["unowned", "", 0, 0, 0, 5],
    ["free", "", 0, 0, 0, 70],
  ]);
  const sum = (value: (share: (typeof shares)[number]) => number) => Number(shares.reduce((sum, share) => sum + value(share), 0).toFixed(9));
  assert.deepEqual([sum((share) => share.memory), sum((share) => share.time), memory, time, gpus], [160, 1, 160, 1, 2]);
});
