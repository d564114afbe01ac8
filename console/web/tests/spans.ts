//! Spans that tests send.
import { expect, type Page } from "@playwright/test";
import { otlp } from "./setup";

export interface SpanOf {
  id: string;
  parent?: string;
  name: string;
  service: string;
  /** Milliseconds since 1970, and for how long. */
  at: number;
  length: number;
  kind?: "internal" | "server" | "client";
  /** The message of its error. */
  error?: string;
  attributes?: Record<string, string>;
}

const KINDS = { internal: 1, server: 2, client: 3 };
/** Spans of a request. */
const SENT = 3000;

const nanos = (ms: number) => `${BigInt(Math.round(ms * 1e3)) * 1000n}`;
const pairs = (of: Record<string, string>) => Object.entries(of).map(([key, value]) => ({ key, value: { stringValue: value } }));

export function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, "0");
}

/** An id that no other test has. */
export function newTraceId(): string {
  return hex(Date.now(), 16) + hex(Math.floor(Math.random() * 2 ** 48), 16);
}

/** Sends a trace, and waits until weir has all of it. */
export async function sendTrace(page: Page, traceId: string, spans: SpanOf[]) {
  for (let from = 0; from < spans.length; from += SENT) {
    const services = new Map<string, object[]>();
    for (const span of spans.slice(from, from + SENT)) {
      const sent = {
        traceId,
        spanId: span.id,
        parentSpanId: span.parent ?? "",
        name: span.name,
        kind: KINDS[span.kind ?? "internal"],
        startTimeUnixNano: nanos(span.at),
        endTimeUnixNano: nanos(span.at + span.length),
        attributes: pairs(span.attributes ?? {}),
        status: span.error === undefined ? {} : { code: 2, message: span.error },
      };
      services.set(span.service, [...(services.get(span.service) ?? []), sent]);
    }
    const resourceSpans = [...services].map(([service, spans]) => ({ resource: { attributes: pairs({ "service.name": service, "k8s.pod.name": `${service}-0` }) }, scopeSpans: [{ spans }] }));
    const answer = await page.request.post(`${otlp()}/v1/traces`, { data: { resourceSpans } });
    expect(answer.ok(), await answer.text()).toBe(true);
  }
  const counted = async () => {
    const answer = await page.request.get("/api/v1/traces/search", { params: { query: `trace_id:${traceId}`, start: "now-1d", limit: 1 } });
    return ((await answer.json()) as { traces: { span_count: number }[] }).traces[0]?.span_count ?? 0;
  };
  await expect.poll(counted, { timeout: 30_000 }).toBeGreaterThanOrEqual(spans.length);
}
