//! Top values of fields: a click filters for one, the next excludes it.
import { useState } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { count, short } from "../../lib/format";
import { severityColor } from "../../lib/theme";
import { bounds } from "../../lib/time";
import type { ValuesAnswer } from "../../lib/types/logs";
import { here, param, set } from "../../lib/url";
import type { Text } from "../../lib/words";
import { Icon } from "../../ui/icons";
import { Popover } from "../../ui/Popover";
import { FieldPicker } from "./FieldPicker";
import { shortName } from "./fields";
import { choiceOf, toggled, without } from "./query";
import { columnsWith, queryHref } from "./view";
import { w } from "./words";

const USUAL: [field: string, title: Text][] = [
  ["severity", w.severity],
  ["service", w.service],
  ["tenant", w.tenant],
  ["k8s.namespace.name", w.namespace],
  ["k8s.pod.name", w.pod],
  ["host.name", w.host],
];

const FEW = 6;
const MANY = 50;

/** `isReady`: the lines are there, and the counts may come. */
export function Facets({ query, isReady }: { query: string; isReady: boolean }) {
  const [isPicking, setPicking] = useState(false);
  const own = param("facets").split(",").filter(Boolean).slice(0, 20);
  return (
    <aside class="log-facets" aria-label={w.facets()}>
      {own.map((name) => (
        <Facet key={name} field={name} title={shortName(name)} query={query} isReady={isReady} isOwn />
      ))}
      {USUAL.map(([name, title]) => (
        <Facet key={name} field={name} title={title()} query={query} isReady={isReady} />
      ))}
      <Popover icon="plus" label={w.facet_add()} side="left" isOpen={isPicking} onToggle={setPicking}>
        <FieldPicker chosen={own} onPick={(name) => set({ facets: columnsWith(own, name) }, true)} />
      </Popover>
    </aside>
  );
}

function Facet({ field, title, query, isReady, isOwn }: { field: string; title: string; query: string; isReady: boolean; isOwn?: boolean }) {
  const [limit, setLimit] = useState(FEW);
  // What is chosen of this field does not narrow its own values: the others may be added.
  const others = without(query, field);
  const load = (signal: AbortSignal) =>
    get<ValuesAnswer>("/api/v1/logs/fields/{name}/values", { name: field, query: others, ...bounds.value, limit: limit + 1 }, signal);
  const { data, problem, loading } = useData([isReady && bounds.value, field, others, limit, param("tenant")], isReady ? load : null);
  const { include, exclude } = choiceOf(query, field);
  const found = data?.values.slice(0, limit) ?? [];
  const missing = [...include, ...exclude].filter((value) => !found.some((one) => one.value === value));
  const values = [...found, ...missing.map((value) => ({ value, count: data?.values.find((one) => one.value === value)?.count ?? 0 }))];
  const most = Math.max(1, ...found.map((one) => one.count));
  const hasMore = (data?.values.length ?? 0) > limit;
  if (data && !values.length && !isOwn) return null;
  return (
    <section class="log-facet" aria-busy={loading}>
      <h3>
        <span class="ellipsis" title={field}>
          {title}
        </span>
        {isOwn && (
          <a href={here({ facets: columnsWith(param("facets").split(",").filter(Boolean), field) })} aria-label={w.facet_remove({ name: title })} title={w.facet_remove({ name: title })}>
            <Icon name="close" size={10} />
          </a>
        )}
      </h3>
      {problem && <p class="tone-bad">{problem.detail.slice(0, 200)}</p>}
      {data && !values.length && <p class="faint">{w.facet_none()}</p>}
      {values.map(({ value, count: lines }) => {
        const state = include.includes(value) ? "in" : exclude.includes(value) ? "out" : "";
        const about = w.facet_click({ value, n: count(lines) });
        return (
          <a
            key={value}
            class={`log-value log-value-${state}`}
            href={queryHref(toggled(query, field, value))}
            title={about}
            aria-label={`${value} ${count(lines)} ${state === "in" ? w.facet_included() : state === "out" ? w.facet_excluded() : ""}`}
            onClick={(event) => {
              if (!event.altKey) return;
              event.preventDefault();
              set({ query: toggled(query, field, value, true) || null, line: null, at: null });
            }}
          >
            <i class="log-value-bar" style={{ width: `${(lines / most) * 100}%` }} />
            {field === "severity" && <i class={`log-dot ${severityColor(value)}`} />}
            <span class="ellipsis">{value.slice(0, 200) || w.facet_empty()}</span>
            <span class="log-value-count">{short(lines)}</span>
          </a>
        );
      })}
      {(hasMore || limit > FEW) && (
        <button class="log-more" type="button" onClick={() => setLimit(hasMore ? MANY : FEW)}>
          {hasMore && limit === FEW ? w.facet_more() : w.facet_less()}
        </button>
      )}
    </section>
  );
}
