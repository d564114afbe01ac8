//! From an alert to what it is about: the interface, its slow traces, its lines, the node and the GPU. Pure.
import { quoted } from "../../lib/lucene";
import type { Labels } from "../../lib/prom";
import type { Changes } from "../../lib/url";

export interface Link {
  kind: "interface" | "traces" | "errors" | "logs" | "pod" | "gpu" | "node" | "scaling";
  to: string;
  changes: Changes;
}

/** A term of the query of log lines. */
function term(field: string, value: string): string {
  return `${field}:${quoted(value)}`;
}

/** Links over the alert's own time, with a little before and after. */
export function linksOf(labels: Labels, from: number, to: number): Link[] {
  const { service, tenant } = labels;
  const name = labels.interface;
  const [node, gpu] = [labels.host_name ?? labels.k8s_node_name, labels.hw_id ?? labels.hw_parent];
  const [namespace, pod] = [labels.k8s_namespace_name, labels.k8s_pod_name];
  const time: Changes = { start: new Date(from - 5 * 6e4).toISOString(), end: new Date(to + 6e4).toISOString(), tenant };
  const known = service === "unknown_service" ? undefined : service;
  const links: Link[] = [];
  if (known) {
    if (name) links.push({ kind: "interface", to: "/interfaces", changes: { ...time, service: known, interface: name } });
    links.push({ kind: "traces", to: "/traces", changes: { ...time, service: known, interface: name, sort: "duration" } });
    links.push({ kind: "errors", to: "/traces", changes: { ...time, service: known, interface: name, status: "error" } });
    links.push({ kind: "logs", to: "/logs", changes: { ...time, query: term("service", known) } });
  }
  if (pod) {
    const query = [namespace && term("k8s.namespace.name", namespace), term("k8s.pod.name", pod)].filter(Boolean).join(" AND ");
    links.push({ kind: "pod", to: "/logs", changes: { ...time, query } });
  }
  // Machines are nobody's: a tenant would hide them.
  if (gpu) links.push({ kind: "gpu", to: "/gpus", changes: { ...time, tenant: null, node, gpu } });
  if (node) links.push({ kind: "node", to: "/gpus", changes: { ...time, tenant: null, node } });
  return links;
}
