//! Where a span leads to.
import { term } from "../../lib/lucene";
import { rfc3339 } from "../../lib/time";
import type { Span } from "../../lib/types/traces";
import { href } from "../../lib/url";
import type { Tree } from "./tree";

/** How far around a trace its log lines are looked for, in milliseconds. */
const AROUND = 6e4;

function text(attributes: Record<string, unknown> | undefined, ...names: string[]): string {
  for (const name of names) {
    const value = attributes?.[name];
    if (typeof value === "string" && value) return value;
  }
  return "";
}

/** The interface that a span is counted under, before a configuration renames any. */
export function interfaceOf({ name, attributes }: Span): string {
  const method = text(attributes, "http.request.method", "http.method");
  const route = text(attributes, "http.route");
  if (method && route) return `${method} ${route}`;
  const rpc = text(attributes, "rpc.method");
  if (rpc.includes("/")) return rpc;
  const service = text(attributes, "rpc.service");
  return rpc && service ? `${service}/${rpc}` : name;
}

/** The time of a trace, with some around it, for another page. */
export function timeOf(tree: Tree): { start: string; end: string } {
  return { start: rfc3339(tree.start - AROUND), end: rfc3339(tree.start + tree.duration + AROUND) };
}

export function logsOfTrace(tree: Tree, id: string): string {
  return href("/logs", { query: `trace_id:${id}`, ...timeOf(tree) });
}

export interface SpanLinks {
  logs: string;
  traces: string;
  interface: string | null;
  pod: string | null;
  node: string | null;
}

export function linksOf(tree: Tree, traceId: string, span: Span): SpanLinks {
  const time = timeOf(tree);
  const name = interfaceOf(span);
  const pod = text(span.resource, "k8s.pod.name");
  const node = text(span.resource, "k8s.node.name", "host.name");
  const isCall = span.kind === "server" || span.kind === "consumer";
  return {
    logs: href("/logs", { query: `trace_id:${traceId} AND span_id:${span.span_id}`, ...time }),
    traces: href("/traces", { service: span.service, interface: span.name, sort: "duration" }),
    interface: isCall ? href("/interfaces", { service: span.service, interface: name, tenant: span.tenant }) : null,
    pod: pod ? href("/logs", { query: term("k8s.pod.name", pod), ...time }) : null,
    node: node ? href("/gpus", { node, ...time }) : null,
  };
}

/** Traces whose spans have this value; null where it is too long or no single value to ask for. */
export function tracesWith(name: string, value: unknown): string | null {
  const isPlain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
  if (!isPlain || String(value).length > 200 || !/^[\w.-]+$/.test(name)) return null;
  return href("/traces", { query: term(name, String(value)) });
}
