//! How a GPU is dealt out: parts that add up to the whole of it. Pure.
import type { Gpu } from "./fleet";

export interface Part {
  kind: "pod" | "unowned" | "free";
  /** `namespace/pod` of a pod. */
  name: string;
  tenant: string;
  /** Of the whole GPU, 0 to 1. */
  share: number;
  /** Bytes; of memory alone. */
  bytes?: number;
}

function byPod(gpu: Gpu, value: (use: Gpu["uses"][number]) => number): Part[] {
  const parts = new Map<string, Part>();
  for (const use of gpu.uses) {
    const name = `${use.namespace}/${use.pod}`;
    const part = parts.get(name) ?? { kind: "pod" as const, name, tenant: use.tenant, share: 0 };
    part.share += value(use);
    parts.set(name, part);
  }
  return [...parts.values()];
}

/** Memory by pod, what belongs to no pod, and what is free; null where the GPU's size is not known. */
export function memoryShares(gpu: Gpu): Part[] | null {
  const { limit } = gpu;
  if (!limit) return null;
  const pods = byPod(gpu, (use) => use.memory);
  const held = pods.reduce((sum, part) => sum + part.share, 0);
  // Processes may say more than the driver counts in the same moment: they are believed, and the rest is what is left.
  const whole = Math.max(limit, held);
  const used = Math.max(gpu.used ?? held, held);
  const rest = [
    { kind: "unowned" as const, name: "", tenant: "", share: Math.min(used, whole) - held },
    { kind: "free" as const, name: "", tenant: "", share: whole - Math.min(used, whole) },
  ];
  return [...pods, ...rest].map((part) => ({ ...part, bytes: part.share, share: part.share / whole }));
}

/**
 * Time by pod, busy time that belongs to no pod, and idle time; null where the driver tells no time. Who sees some pods
 * alone does not know what the others leave: those parts are not there then.
 */
export function timeShares(gpu: Gpu): Part[] | null {
  if (gpu.busy === null && gpu.uses.every((use) => use.time === null)) return null;
  const pods = byPod(gpu, (use) => use.time ?? 0);
  if (gpu.busy === null) return pods;
  const owned = pods.reduce((sum, part) => sum + part.share, 0);
  const unowned = Math.max(0, gpu.unowned ?? 0);
  // Rates of counters that are sampled at other times may come to a little more than the whole.
  const whole = Math.max(1, owned + unowned);
  const rest = [
    { kind: "unowned" as const, name: "", tenant: "", share: unowned },
    { kind: "free" as const, name: "", tenant: "", share: whole - owned - unowned },
  ];
  return [...pods, ...rest].map((part) => ({ ...part, share: part.share / whole }));
}
