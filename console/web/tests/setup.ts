//! What tests share: a page whose uncaught errors and refused scripts fail the test, and data of their own.
import { test as base, expect, type Page } from "@playwright/test";

export { expect };

export const test = base.extend<{ errors: string[] }>({
  errors: [
    async ({ page }, use) => {
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(`${error.message}\n${error.stack}`));
      page.on("console", (message) => {
        // Chromium says so of every answer that is an error, which tests provoke.
        if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) errors.push(message.text());
      });
      await use(errors);
      expect(errors).toEqual([]);
    },
    { auto: true },
  ],
});

/** Where OTLP/HTTP is taken. */
export function otlp(): string {
  const address = process.env.WEIR_OTLP;
  if (!address) throw new Error("WEIR_OTLP names no address");
  return address;
}

export interface Line {
  body: string;
  /** Milliseconds since 1970. */
  at: number;
  severity?: number;
  service?: string;
  attributes?: Record<string, string>;
  trace?: string;
}

const attribute = ([key, value]: [string, string]) => ({ key, value: { stringValue: value } });

/** Sends log lines, and waits until weir has them. */
export async function sendLines(page: Page, lines: Line[], resource: Record<string, string> = {}) {
  const services = new Map<string, Line[]>();
  for (const line of lines) {
    const service = line.service ?? "test";
    services.set(service, [...(services.get(service) ?? []), line]);
  }
  const resourceLogs = [...services].map(([service, lines]) => ({
    resource: { attributes: Object.entries({ "service.name": service, ...resource }).map(attribute) },
    scopeLogs: [
      {
        logRecords: lines.map((line) => ({
          timeUnixNano: `${line.at}000000`,
          severityNumber: line.severity ?? 9,
          body: { stringValue: line.body },
          traceId: line.trace ?? "",
          attributes: Object.entries(line.attributes ?? {}).map(attribute),
        })),
      },
    ],
  }));
  const answer = await page.request.post(`${otlp()}/v1/logs`, { data: { resourceLogs } });
  expect(answer.ok(), await answer.text()).toBe(true);
  await expect
    .poll(async () => {
      const query = [...services.keys()].map((service) => `service:${JSON.stringify(service)}`).join(" OR ");
      const counted = await page.request.get("/api/v1/logs/count", { params: { query, start: "now-3d" } });
      return (await counted.json()).count as number;
    })
    .toBeGreaterThanOrEqual(lines.length);
}
