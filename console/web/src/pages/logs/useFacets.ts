//! Top values of many fields, asked for at once: one pass over the lines costs about what one field costs.
import { get } from "../../lib/api";
import { useData, type Data } from "../../lib/data";
import { bounds } from "../../lib/time";
import type { TermsAnswer, ValuesAnswer } from "../../lib/types/logs";
import { param } from "../../lib/url";
import { without } from "./query";

export const FEW = 6;
export const MANY = 50;

export interface FacetValues {
  values: ValuesAnswer["values"];
  hasMore: boolean;
}

/** Fields by the query that their values are counted by: what is chosen of a field does not narrow its own values. */
export function groups(query: string, fields: string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const field of fields) {
    const by = without(query, field);
    found.set(by, [...(found.get(by) ?? []), field]);
  }
  return found;
}

export function useFacets(query: string, fields: string[], isReady: boolean): Data<Record<string, FacetValues>> {
  const load = async (signal: AbortSignal) => {
    const found: Record<string, FacetValues> = {};
    // One after the other: what the page needs next is not kept waiting behind them.
    for (const [by, group] of groups(query, fields)) Object.assign(found, await topValues(by, group, signal));
    return found;
  };
  return useData([isReady && bounds.value, query, fields, param("tenant")], isReady ? load : null);
}

async function topValues(query: string, fields: string[], signal: AbortSignal): Promise<Record<string, FacetValues>> {
  const aggs = Object.fromEntries(fields.map((field) => [field, { terms: { field, size: FEW } }]));
  const { aggregations } = await get<TermsAnswer>("/api/v1/logs/aggregate", { query, ...bounds.value, aggs: JSON.stringify(aggs) }, signal);
  const shown = ({ buckets, sum_other_doc_count: others }: TermsAnswer["aggregations"][string]): FacetValues => ({
    values: buckets.map(({ key, key_as_string, doc_count }) => ({ value: key_as_string ?? String(key), count: doc_count })),
    hasMore: others > 0,
  });
  return Object.fromEntries(Object.entries(aggregations).map(([field, answer]) => [field, shown(answer)]));
}

/** More values of one field, where they are asked for. */
export function useMore(query: string, field: string, isAsked: boolean): ValuesAnswer["values"] | undefined {
  const load = (signal: AbortSignal) =>
    get<ValuesAnswer>("/api/v1/logs/fields/{name}/values", { name: field, query: without(query, field), ...bounds.value, limit: MANY }, signal);
  return useData([isAsked && bounds.value, field, query, param("tenant")], isAsked ? load : null).data?.values;
}
