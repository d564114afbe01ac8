//! How a rule is named in an address. Pure.
import type { Rule, RuleGroup } from "../../lib/types/alerts";

/** Rules of a group by name: a group may have thousands, and the list asks for the key of each. */
const counts = new WeakMap<RuleGroup["rules"], Map<string, number>>();

function countsOf(rules: Rule[]): Map<string, number> {
  let known = counts.get(rules);
  if (!known) {
    known = new Map();
    for (const { name } of rules) known.set(name, (known.get(name) ?? 0) + 1);
    counts.set(rules, known);
  }
  return known;
}

/** `group/name`; rules of one group may have the same name, so the line tells them apart where it must. */
export function ruleKey(group: Pick<RuleGroup, "name" | "rules">, rule: Rule): string {
  const isAlone = countsOf(group.rules).get(rule.name) === 1;
  return isAlone ? `${group.name}/${rule.name}` : `${group.name}/${rule.name}:${rule.line}`;
}
