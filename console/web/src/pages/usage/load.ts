//! What the report asks for.
import { get } from "../../lib/api";
import { rfc3339, type Range } from "../../lib/time";
import type { Quotas, Usage } from "../../lib/types/usage";
import { joined, type Filters, type Level } from "./report";
import type { Step } from "./period";

/** Rows of a page of the API at most. */
const PAGE_ROWS = 10_000;

export interface Question {
  range: Range;
  filters: Filters;
  step: Step | "total";
  by: Level;
  zone: string;
}

/** As the API takes it. The tenant is taken from the address of the page. */
export function argumentsOf({ range, filters, step, by, zone }: Question) {
  const { service, interface: name } = filters;
  return { start: rfc3339(range.from), end: rfc3339(range.to), step, by, tz: zone, service, interface: name };
}

/** All rows of a question, in `pages` pages at most: with `next_cursor` where there are more. */
export async function ask(question: Question, pages: number, signal: AbortSignal): Promise<Usage> {
  const read: Usage[] = [];
  let cursor: string | null = null;
  do {
    const page: Usage = await get<Usage>("/api/v1/usage", { ...argumentsOf(question), limit: PAGE_ROWS, cursor }, signal);
    read.push(page);
    cursor = page.next_cursor;
  } while (cursor && read.length < pages);
  const whole = joined(read);
  if (!whole) throw new Error("no page of usage");
  return whole;
}

/** Over time, by the level that is asked for; by tenant where that is more than a chart can show. */
export async function askOverTime(question: Question, signal: AbortSignal): Promise<{ usage: Usage; by: Level }> {
  const usage = await ask(question, 2, signal);
  if (!usage.next_cursor) return { usage, by: question.by };
  return { usage: await ask({ ...question, by: "tenant" }, 2, signal), by: "tenant" };
}

/** Quotas of tenants, some requests at once. */
export async function askQuotas(tenants: string[], signal: AbortSignal): Promise<Quotas[]> {
  const answers: Quotas[] = [];
  const waiting = [...tenants];
  const work = async () => {
    for (let tenant = waiting.shift(); tenant !== undefined; tenant = waiting.shift()) {
      answers.push(await get<Quotas>("/api/v1/quotas/{tenant}", { tenant }, signal));
    }
  };
  await Promise.all(Array.from({ length: 6 }, work));
  return answers.sort((a, b) => a.tenant.localeCompare(b.tenant));
}
