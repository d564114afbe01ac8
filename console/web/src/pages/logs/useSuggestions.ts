//! Suggestions for the word at the cursor, of the lines of the time that is shown.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { bounds } from "../../lib/time";
import type { FieldsAnswer, ValuesAnswer } from "../../lib/types/logs";
import { param } from "../../lib/url";
import { fieldSuggestions, recentSuggestions, valueSuggestions, type Suggestion, type Target } from "./completion";
import { recentQueries } from "./kept";

/** Milliseconds after a key before values are asked for. */
const PAUSE = 120;

/** Fields of all lines of the time; asked once somebody needs them. */
export function useFields(isNeeded: boolean): FieldsAnswer["fields"] {
  const load = (signal: AbortSignal) => get<FieldsAnswer>("/api/v1/logs/fields", { ...bounds.value }, signal);
  const { data } = useData([isNeeded && bounds.value, param("tenant")], isNeeded ? load : null);
  return useMemo(() => data?.fields ?? [], [data]);
}

export function useSuggestions(isOpen: boolean, query: string, at: Target): Suggestion[] {
  const fields = useFields(isOpen);
  const [asked, setAsked] = useState<{ field: string; prefix: string } | null>(null);
  const field = isOpen ? at.field : null;
  useEffect(() => {
    if (field === null) return setAsked(null);
    const timer = setTimeout(() => setAsked({ field, prefix: at.prefix }), PAUSE);
    return () => clearTimeout(timer);
  }, [field, at.prefix]);
  const values = useData([asked, bounds.value, param("tenant")], asked && ((signal) => valuesOf(asked.field, asked.prefix, signal)));
  return useMemo(() => {
    if (!isOpen) return [];
    if (field !== null) return asked?.field === field ? valueSuggestions(values.data ?? [], at.prefix) : [];
    const recent = recentSuggestions(recentQueries(), query, query.trim() ? 3 : 6);
    return [...(at.prefix || !query.trim() ? [] : OPERATORS), ...fieldSuggestions(fields, at.prefix), ...recent];
  }, [isOpen, query, field, at.prefix, asked?.field, fields, values.data]);
}

const OPERATORS: Suggestion[] = ["AND", "OR", "NOT"].map((word) => ({ kind: "operator", label: word, insert: `${word} ` }));

/** Values that begin with what is written; where the field has no words to begin with, its top values. */
async function valuesOf(name: string, prefix: string, signal: AbortSignal): Promise<ValuesAnswer["values"]> {
  const ask = (query: string) =>
    get<ValuesAnswer>("/api/v1/logs/fields/{name}/values", { name, query, ...bounds.value, limit: 50 }, signal);
  const isWord = /^[\p{L}\p{N}_.-]+$/u.test(prefix) && name !== "severity";
  const answer = await ask(isWord ? `${name}:${prefix}*` : "").catch(() => ask(""));
  return answer.values.length || !isWord ? answer.values : (await ask("")).values;
}
