//! Matchers of silences as text, and which labels they match. Pure.
import type { Labels } from "../../lib/prom";
import type { SilenceMatcher } from "../../lib/types/alerts";

export type Op = "=" | "!=" | "=~" | "!~";
export const OPS: Op[] = ["=", "!=", "=~", "!~"];

export function opOf({ isEqual, isRegex }: SilenceMatcher): Op {
  return isRegex ? (isEqual ? "=~" : "!~") : isEqual ? "=" : "!=";
}

export function withOp(matcher: SilenceMatcher, op: Op): SilenceMatcher {
  return { ...matcher, isEqual: op === "=" || op === "=~", isRegex: op.endsWith("~") };
}

export function matcherText(matcher: SilenceMatcher): string {
  return `${matcher.name}${opOf(matcher)}${JSON.stringify(matcher.value)}`;
}

/** `{alertname="SlowInterface",service=~"ocr|asr"}` */
export function matchersText(matchers: SilenceMatcher[]): string {
  return `{${matchers.map(matcherText).join(",")}}`;
}

/** Reads [`matchersText`]; what is none is left out. */
export function readMatchers(text: string): SilenceMatcher[] {
  const one = /([^\s,{}"=!~]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")/g;
  return [...text.matchAll(one)].flatMap(([, name = "", op = "=", value = '""']) => {
    try {
      return [withOp({ name, value: String(JSON.parse(value)), isRegex: false, isEqual: true }, op as Op)];
    } catch {
      return [];
    }
  });
}

/** A word of a filter such as `service=ocr` as a matcher that weir itself applies; null where it is none. */
export function matcherOf(word: string): string | null {
  const [, name, value] = /^([a-z_]\w*)=(\S+)$/i.exec(word) ?? [];
  if (!name || !value) return null;
  const start = value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return `${name}=~${JSON.stringify(`(?i)${start}.*`)}`;
}

/** Of an alert: each of its labels. */
export function matchersOf(labels: Labels): SilenceMatcher[] {
  const names = Object.keys(labels).sort((a, b) => Number(b === "alertname") - Number(a === "alertname") || (a < b ? -1 : 1));
  return names.map((name) => ({ name, value: labels[name] ?? "", isRegex: false, isEqual: true }));
}

/** Why a matcher cannot be used; null where it can. */
export function fault(matcher: SilenceMatcher): "name" | "regex" | null {
  if (!matcher.name.trim()) return "name";
  return matcher.isRegex && !regex(matcher.value) ? "regex" : null;
}

function regex(value: string): RegExp | null {
  try {
    return new RegExp(`^(?:${value})$`, "su");
  } catch {
    return null;
  }
}

/** Whether labels satisfy all matchers: a label that is not there is empty. */
export function silences(matchers: SilenceMatcher[]): (labels: Labels) => boolean {
  const tests = matchers.map(({ name, value, isRegex, isEqual }) => {
    const pattern = isRegex ? regex(value) : null;
    return (labels: Labels) => {
      const label = labels[name] ?? "";
      return (isRegex ? (pattern?.test(label) ?? false) : label === value) === isEqual;
    };
  });
  return (labels) => tests.length > 0 && tests.every((test) => test(labels));
}

/** A silence must match something that is not empty, else it would match every alert. */
export function matchesAll(matchers: SilenceMatcher[]): boolean {
  return silences(matchers)({});
}
