//! GPUs by tenant: what each holds and uses of the whole fleet, with what nobody does. Pure.
import type { Node } from "./fleet";

export interface TenantShare {
  kind: "tenant" | "unowned" | "free";
  tenant: string;
  pods: number;
  /** GPUs that it holds memory of. */
  held: number;
  idle: number;
  /** Bytes. */
  memory: number;
  /** In GPUs that would always be busy. */
  time: number;
}

/** Tenants, then busy time and memory of no pod, then what is free: together they are all GPUs that tell their time. */
export function byTenant(nodes: Node[]): { shares: TenantShare[]; gpus: number; memory: number; time: number } {
  const tenants = new Map<string, TenantShare & { names: Set<string> }>();
  const rest = (kind: "unowned" | "free"): TenantShare => ({ kind, tenant: "", pods: 0, held: 0, idle: 0, memory: 0, time: 0 });
  const [unowned, free] = [rest("unowned"), rest("free")];
  let [gpus, memory, time] = [0, 0, 0];
  for (const gpu of nodes.flatMap((node) => node.gpus)) {
    gpus += 1;
    const held = gpu.uses.reduce((sum, use) => sum + use.memory, 0);
    const own = gpu.uses.reduce((sum, use) => sum + (use.time ?? 0), 0);
    for (const use of gpu.uses) {
      let of = tenants.get(use.tenant);
      if (!of) tenants.set(use.tenant, (of = { kind: "tenant", tenant: use.tenant, pods: 0, held: 0, idle: 0, memory: 0, time: 0, names: new Set() }));
      of.names.add(`${use.namespace}/${use.pod}`);
      of.memory += use.memory;
      of.time += use.time ?? 0;
    }
    for (const tenant of new Set(gpu.uses.filter((use) => use.memory > 0).map((use) => use.tenant))) {
      const of = tenants.get(tenant);
      if (!of) continue;
      of.held += 1;
      if (gpu.idle) of.idle += 1;
    }
    if (gpu.limit !== null) {
      const whole = Math.max(gpu.limit, held);
      const used = Math.min(whole, Math.max(gpu.used ?? held, held));
      memory += whole;
      unowned.memory += used - held;
      free.memory += whole - used;
    }
    // Of a GPU in MIG instances, and of one whose machine is not seen, neither busy nor idle time is known.
    if (gpu.busy !== null) {
      const other = Math.max(0, gpu.unowned ?? 0);
      time += Math.max(1, own + other);
      unowned.time += other;
      free.time += Math.max(0, 1 - own - other);
    }
  }
  const shares = [...tenants.values()].map(({ names, ...share }) => ({ ...share, pods: names.size }));
  shares.sort((a, b) => b.memory - a.memory || a.tenant.localeCompare(b.tenant));
  // Who sees pods alone does not know what the others leave.
  return { shares: memory || time ? [...shares, unowned, free] : shares, gpus, memory, time };
}
