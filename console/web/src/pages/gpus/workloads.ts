//! Containers of a node with what they are allowed and what they use. Pure.
import type { Labels, Sample } from "../../lib/prom";
import type { Gpu, Samples } from "./fleet";

export interface Allowed {
  request: number | null;
  limit: number | null;
  used: number | null;
}

export interface Workload {
  key: string;
  tenant: string;
  namespace: string;
  pod: string;
  container: string;
  phase: string;
  cpu: Allowed;
  memory: Allowed;
  /** GPUs that it asks for: `nvidia.com/gpu`, or instances such as `nvidia.com/mig-1g.10gb`. */
  gpus: number | null;
  gpuMemory: number;
  gpuTime: number | null;
  /** UUIDs of GPUs that it is on. */
  on: string[];
}

const none = (): Allowed => ({ request: null, limit: null, used: null });

export function workloads(samples: Samples, gpus: Gpu[]): Workload[] {
  const all = new Map<string, Workload>();
  const of = (tenant: string, namespace: string, pod: string, container: string) => {
    const key = `${namespace}/${pod}/${container}`;
    let one = all.get(key);
    if (!one) all.set(key, (one = { key, tenant, namespace, pod, container, phase: "", cpu: none(), memory: none(), gpus: null, gpuMemory: 0, gpuTime: null, on: [] }));
    return one;
  };
  const named = ({ tenant = "", k8s_namespace_name: namespace = "", k8s_pod_name: pod = "", k8s_container_name: container = "" }: Labels) => of(tenant, namespace, pod, container);
  const each = (name: string, take: (sample: Sample) => void) => samples[name]?.forEach(take);
  each("allowed", ({ labels, value }) => {
    const known = /^k8s_container_(cpu|memory)_(request|limit)/.exec(labels.__name__ ?? "");
    if (known) named(labels)[known[1] as "cpu" | "memory"][known[2] as "request" | "limit"] = value;
    else if (/nvidia\.com\/|gpu/.test(labels.weir_k8s_resource_name ?? "")) {
      const one = named(labels);
      // A GPU's request and limit are the same.
      one.gpus = Math.max(one.gpus ?? 0, value);
    }
  });
  each("cpu", ({ labels, value }) => (named(labels).cpu.used = value));
  each("memory", ({ labels, value }) => (named(labels).memory.used = value));
  for (const gpu of gpus) {
    for (const use of gpu.uses) {
      const one = of(use.tenant, use.namespace, use.pod, use.container);
      one.gpuMemory += use.memory;
      if (use.time !== null) one.gpuTime = (one.gpuTime ?? 0) + use.time;
      if (!one.on.includes(gpu.name)) one.on.push(gpu.name);
    }
  }
  const phases = new Map<string, string>();
  each("phase", ({ labels }) => phases.set(`${labels.k8s_namespace_name}/${labels.k8s_pod_name}`, labels.k8s_pod_status_phase ?? ""));
  for (const one of all.values()) one.phase = phases.get(`${one.namespace}/${one.pod}`) ?? "";
  return [...all.values()].sort((a, b) => b.gpuMemory - a.gpuMemory || a.key.localeCompare(b.key));
}
