//! Nodes, their GPUs, the pods on them: put together from one sample of each series. Pure.
import type { Labels, Sample } from "../../lib/prom";

/** Answers by the name of their query (queries.ts). */
export type Samples = Partial<Record<string, Sample[]>>;

export interface Use {
  tenant: string;
  namespace: string;
  pod: string;
  container: string;
  gpu: string;
  /** Bytes of the GPU's memory. */
  memory: number;
  /** Part of the time in which it ran on the GPU; null where the driver does not say. */
  time: number | null;
}

export interface Xid {
  xid: string;
  policy: string;
  count: number;
}

export interface Mig {
  id: string;
  model: string;
  used: number | null;
  limit: number | null;
}

export interface Gpu {
  id: string;
  node: string;
  /** `gpu0`; the id where the driver's number is not known. */
  name: string;
  model: string;
  /** 0 to 1. */
  utilization: number | null;
  used: number | null;
  limit: number | null;
  temperature: number | null;
  memoryTemperature: number | null;
  power: number | null;
  powerLimit: number | null;
  throttled: string[];
  xids: Xid[];
  /** Why it cannot be used: `lost`, what the driver asks for, or the policy of its XID. */
  failed: string[];
  /** Held by pods that have hardly used it for half an hour. */
  idle: boolean;
  /** Busy time that belongs to no pod, and all of it, as parts of the time. */
  unowned: number | null;
  busy: number | null;
  migs: Mig[];
  uses: Use[];
}

export interface Host {
  cpu: number | null;
  cores: number | null;
  /** Part that is not available. */
  memory: number | null;
  memoryLimit: number | null;
  disk: number | null;
  receive: number | null;
  transmit: number | null;
}

export interface Node {
  name: string;
  gpus: Gpu[];
  host: Host;
  tenants: string[];
  /** Pods that hold a GPU. */
  pods: number;
}

/** XIDs after which a GPU is not to be used on (collector's policies). */
const HARMFUL = new Set(["drain_and_reset", "reset_and_check_sram", "check_nvlink", "restart_machine", "check_power"]);

/** `node-2` before `node-10`; made once, as it is asked thousands of times. */
const collator = new Intl.Collator("en", { numeric: true });

function newGpu(id: string, node: string): Gpu {
  const unknown = { utilization: null, used: null, limit: null, temperature: null, memoryTemperature: null, power: null, powerLimit: null, unowned: null, busy: null };
  return { id, node, name: id, model: "", ...unknown, throttled: [], xids: [], failed: [], idle: false, migs: [], uses: [] };
}

const NO_HOST: Host = { cpu: null, cores: null, memory: null, memoryLimit: null, disk: null, receive: null, transmit: null };

export function fleet(samples: Samples): Node[] {
  const nodes = new Map<string, Node>();
  const gpus = new Map<string, Gpu>();
  const nodeOf = (name: string) => {
    let node = nodes.get(name);
    if (!node) nodes.set(name, (node = { name, gpus: [], host: { ...NO_HOST }, tenants: [], pods: 0 }));
    return node;
  };
  const gpuOf = ({ hw_id: id = "", host_name: host = "", hw_name: name, hw_model: model }: Labels) => {
    const key = `${host} ${id}`;
    let gpu = gpus.get(key);
    if (!gpu) {
      gpus.set(key, (gpu = newGpu(id, host)));
      nodeOf(host).gpus.push(gpu);
    }
    if (name) gpu.name = name;
    if (model) gpu.model = model;
    return gpu;
  };
  const each = (name: string, take: (labels: Labels, value: number) => void) => {
    for (const { labels, value } of samples[name] ?? []) if (Number.isFinite(value)) take(labels, value);
  };
  const migs = new Map<string, Mig>();
  const memory = (part: "used" | "limit") => (labels: Labels, value: number) => {
    const { hw_parent: parent, hw_id: id = "", host_name: host = "" } = labels;
    if (!parent) {
      gpuOf(labels)[part] = value;
      return;
    }
    let mig = migs.get(`${host} ${id}`);
    if (!mig) {
      migs.set(`${host} ${id}`, (mig = { id, model: labels.hw_model ?? "", used: null, limit: null }));
      gpuOf({ hw_id: parent, host_name: host }).migs.push(mig);
    }
    mig[part] = value;
  };
  each("utilization", (labels, value) => (gpuOf(labels).utilization = value));
  each("used", memory("used"));
  each("limit", memory("limit"));
  each("temperature", (labels, value) => (gpuOf(labels)[labels.hw_sensor_location === "memory" ? "memoryTemperature" : "temperature"] = value));
  each("power", (labels, value) => (gpuOf(labels).power = value));
  each("powerLimit", (labels, value) => (gpuOf(labels).powerLimit = value));
  each("throttled", (labels) => gpuOf(labels).throttled.push(labels.weir_gpu_throttle_reason ?? ""));
  each("idle", (labels) => (gpuOf(labels).idle = true));
  each("unowned", (labels, value) => (gpuOf(labels).unowned = value));
  each("busy", (labels, value) => (gpuOf(labels).busy = value));
  each("xids", (labels, value) => gpuOf(labels).xids.push({ xid: labels.weir_gpu_xid ?? "", policy: labels.weir_gpu_policy ?? "", count: Math.round(value) }));
  const fail = (labels: Labels, why: string) => {
    const { failed } = gpuOf(labels);
    if (!failed.includes(why)) failed.push(why);
  };
  each("recentXids", (labels) => HARMFUL.has(labels.weir_gpu_policy ?? "") && fail(labels, labels.weir_gpu_policy ?? ""));
  each("recovery", (labels) => fail(labels, labels.weir_gpu_recovery_action ?? ""));
  each("lost", (labels) => fail(labels, "lost"));
  uses(samples, gpuOf);
  hosts(each, nodeOf);
  for (const node of nodes.values()) {
    node.gpus.sort((a, b) => collator.compare(a.name, b.name));
    const all = node.gpus.flatMap((gpu) => gpu.uses);
    node.tenants = [...new Set(all.map((use) => use.tenant))].sort();
    node.pods = new Set(all.map((use) => `${use.namespace}/${use.pod}`)).size;
  }
  return [...nodes.values()].sort((a, b) => collator.compare(a.name, b.name));
}

function uses(samples: Samples, gpuOf: (labels: Labels) => Gpu) {
  const known = new Map<string, Use>();
  const useOf = (labels: Labels) => {
    const { hw_id: gpu = "", tenant = "", k8s_namespace_name: namespace = "", k8s_pod_name: pod = "", k8s_container_name: container = "" } = labels;
    const key = [labels.host_name, gpu, tenant, namespace, pod, container].join("\n");
    let use = known.get(key);
    if (!use) {
      known.set(key, (use = { tenant, namespace, pod, container, gpu, memory: 0, time: null }));
      gpuOf({ hw_id: gpu, host_name: labels.host_name ?? "" }).uses.push(use);
    }
    return use;
  };
  for (const { labels, value } of samples.podMemory ?? []) useOf(labels).memory = value;
  for (const { labels, value } of samples.podTime ?? []) if (Number.isFinite(value)) useOf(labels).time = value;
}

function hosts(each: (name: string, take: (labels: Labels, value: number) => void) => void, nodeOf: (name: string) => Node) {
  const host = (name: string, part: keyof Host) => each(name, (labels, value) => (nodeOf(labels.host_name ?? "").host[part] = value));
  host("cpu", "cpu");
  host("cores", "cores");
  host("hostMemory", "memory");
  host("hostMemoryLimit", "memoryLimit");
  host("disk", "disk");
  each("network", (labels, value) => (nodeOf(labels.host_name ?? "").host[labels.network_io_direction === "transmit" ? "transmit" : "receive"] = value));
}

export interface Totals {
  nodes: number;
  gpus: number;
  /** Held by at least one pod, or busy. */
  inUse: number;
  idle: number;
  failed: number;
  utilization: number | null;
  power: number | null;
  used: number;
  limit: number;
  migs: number;
}

/** Whether the machine's own measures are seen: a tenant sees those of its pods alone. */
export function isMeasured(gpu: Gpu): boolean {
  return gpu.utilization !== null || gpu.limit !== null;
}

export function isInUse(gpu: Gpu): boolean {
  return gpu.uses.some((use) => use.memory > 0 || (use.time ?? 0) > 0) || (gpu.utilization ?? 0) > 0.01;
}

export function totals(nodes: Node[]): Totals {
  const gpus = nodes.flatMap((node) => node.gpus);
  const sum = (values: (number | null)[]) => values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  const measured = gpus.filter((gpu) => gpu.utilization !== null);
  return {
    nodes: nodes.length,
    gpus: gpus.length,
    inUse: gpus.filter(isInUse).length,
    idle: gpus.filter((gpu) => gpu.idle).length,
    failed: gpus.filter((gpu) => gpu.failed.length).length,
    utilization: measured.length ? sum(measured.map((gpu) => gpu.utilization)) / measured.length : null,
    power: gpus.some((gpu) => gpu.power !== null) ? sum(gpus.map((gpu) => gpu.power)) : null,
    used: sum(gpus.map((gpu) => gpu.used)),
    limit: sum(gpus.map((gpu) => gpu.limit)),
    migs: sum(gpus.map((gpu) => gpu.migs.length)),
  };
}

/** What a node is found by: made once, while one types. */
const texts = new WeakMap<Node, string>();

/** Whether a node, or one of its GPUs or pods, has every word of a filter. */
export function matches(node: Node, words: string[]): boolean {
  if (!words.length) return true;
  let text = texts.get(node);
  if (text === undefined) {
    const own = node.gpus.map((gpu) => `${gpu.id} ${gpu.model} ${gpu.uses.map((use) => `${use.tenant} ${use.namespace}/${use.pod}`).join(" ")}`);
    texts.set(node, (text = `${node.name} ${own.join(" ")}`.toLowerCase()));
  }
  return words.every((word) => text.includes(word));
}
