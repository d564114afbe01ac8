//! What of an expression is drawn for one alert. Pure.
import type { Labels, Matrix } from "../../lib/prom";
import type { Rule } from "../../lib/types/alerts";

/** So many lines can be told apart. */
export const MOST_SERIES = 8;

/** The expression whose values are compared, where the rule says which; else the rule's, which has values while it holds. */
export function drawn(rule: Pick<Rule, "expr" | "threshold">): string {
  return rule.threshold?.expr ?? rule.expr;
}

/**
 * An expression's series with exactly these labels, chosen by weir and not here: an expression may have thousands. A label
 * that the rule adds is on no series, so `own` leaves it out.
 */
export function only(expr: string, labels: Labels, own: ReadonlySet<string>): string {
  const names = Object.keys(labels).filter((name) => name !== "alertname" && !own.has(name) && /^[a-zA-Z_]\w*$/.test(name));
  if (!names.length) return expr;
  const chosen = names.reduce((inner, name) => {
    const value = (labels[name] ?? "").replaceAll("$", "$$$$");
    return `label_replace(${inner}, ${JSON.stringify(name)}, ${JSON.stringify(value)}, "", "")`;
  }, "vector(1)");
  return `(${expr}) and on (${names.join(", ")}) ${chosen}`;
}

/** Points of more series than these are not fetched: an expression may have thousands. */
const MOST_FETCHED = 50;

/** At each time the series that reach furthest in the direction that fires. */
export function foremost(expr: string, op: string | undefined): string {
  return `${op?.startsWith("<") ? "bottomk" : "topk"}(${MOST_FETCHED}, ${expr})`;
}

/** Labels that are not the same in all series, as a name. */
export function nameOf(labels: Labels, all: Labels[]): string {
  const rest = Object.entries(labels).filter(([name, value]) => name !== "__name__" && all.some((other) => other[name] !== value));
  const name = rest.map(([, value]) => value).join(" ");
  return name.slice(0, 160) || labels.__name__ || "";
}

/** The series that reach furthest, as many as can be told apart. */
export function furthest(matrix: Matrix, op: string | undefined): Matrix["series"] {
  const isLow = op?.startsWith("<");
  const reach = (values: (number | null)[]) => values.reduce<number>((most, value) => (value === null ? most : Math.max(most, isLow ? -value : value)), Number.NEGATIVE_INFINITY);
  return [...matrix.series].sort((a, b) => reach(b.values) - reach(a.values)).slice(0, MOST_SERIES);
}
