//! Top values of fields: a click filters for one, the next excludes it.
import { useState } from "preact/hooks";
import { count, short } from "../../lib/format";
import { bySeverity } from "../../lib/severity";
import { severityColor } from "../../lib/theme";
import { here, param, set } from "../../lib/url";
import type { Text } from "../../lib/words";
import { Icon } from "../../ui/icons";
import { IconButton } from "../../ui/parts";
import { Popover } from "../../ui/Popover";
import { FieldPicker } from "./FieldPicker";
import { shortName } from "./fields";
import { choiceOf, toggled } from "./query";
import { useFacets, useMore, type FacetValues } from "./useFacets";
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

/** Values of more lines than this are counted when somebody asks: every line is read for them. */
const UNASKED = 1_000_000;

interface FacetsProps {
  query: string;
  /** The lines are there, and the counts may come. */
  isReady: boolean;
  /** How many lines there are, where that is known. */
  lines: number | undefined;
  onClose: () => void;
}

export function Facets({ query, isReady, lines = 0, onClose }: FacetsProps) {
  const [isPicking, setPicking] = useState(false);
  const [asked, setAsked] = useState<string | null>(null);
  const isHeld = lines > UNASKED && asked !== query;
  const own = param("facets").split(",").filter(Boolean).slice(0, 20);
  const fields = [...own, ...USUAL.map(([name]) => name)];
  const { data, problem, loading } = useFacets(query, fields, isReady && !isHeld);
  const shared = { query, isLoading: loading };
  return (
    <aside class="log-facets" aria-label={w.facets()}>
      <span class="log-facets-close">
        <IconButton icon="close" label={w.facets_hide()} onClick={onClose} />
      </span>
      {problem && <p class="tone-bad">{problem.detail.slice(0, 300)}</p>}
      {isHeld && (
        <button class="btn" type="button" onClick={() => setAsked(query)}>
          {w.facets_ask({ n: short(lines) })}
        </button>
      )}
      {own.map((name) => (
        <Facet key={name} field={name} title={shortName(name)} found={data?.[name]} {...shared} isOwn />
      ))}
      {USUAL.map(([name, title]) => (
        <Facet key={name} field={name} title={title()} found={data?.[name]} {...shared} />
      ))}
      <Popover icon="plus" label={w.facet_add()} side="left" isOpen={isPicking} onToggle={setPicking}>
        <FieldPicker chosen={own} onPick={(name) => set({ facets: columnsWith(own, name) }, true)} />
      </Popover>
    </aside>
  );
}

interface FacetProps {
  field: string;
  title: string;
  query: string;
  found: FacetValues | undefined;
  isLoading: boolean;
  /** Chosen by the visitor, who may take it away. */
  isOwn?: boolean;
}

function Facet({ field, title, query, found, isLoading, isOwn }: FacetProps) {
  const [hasAll, setAll] = useState(false);
  const more = useMore(query, field, hasAll);
  const { include, exclude } = choiceOf(query, field);
  const top = more ?? found?.values ?? [];
  // What is chosen and not among the top ones is shown without a count, which is not known.
  const missing = [...include, ...exclude].filter((value) => !top.some((one) => one.value === value));
  const values: { value: string; count?: number }[] = [...top, ...missing.map((value) => ({ value }))];
  // Severities keep their places whatever their counts.
  if (field === "severity") values.sort(bySeverity);
  const most = Math.max(1, ...top.map((one) => one.count));
  if (found && !values.length && !isOwn) return null;
  return (
    <section class="log-facet" aria-busy={isLoading}>
      <h2>
        <span class="ellipsis" title={field}>
          {title}
        </span>
        {isOwn && (
          <a href={here({ facets: columnsWith(param("facets").split(",").filter(Boolean), field) })} aria-label={w.facet_remove({ name: title })} title={w.facet_remove({ name: title })}>
            <Icon name="close" size={10} />
          </a>
        )}
      </h2>
      {found && !values.length && <p class="faint">{w.facet_none()}</p>}
      {values.map(({ value, count: lines = 0 }) => {
        const state = include.includes(value) ? "in" : exclude.includes(value) ? "out" : "";
        const about = w.facet_click({ value, n: count(lines) });
        return (
          <a
            key={value}
            class={`log-value log-value-${state}`}
            href={queryHref(toggled(query, field, value))}
            title={about}
            onClick={(event) => {
              if (!event.altKey) return;
              event.preventDefault();
              set({ query: toggled(query, field, value, true) || null, line: null, at: null });
            }}
          >
            <i class="log-value-bar" style={{ width: `${(lines / most) * 100}%` }} />
            {field === "severity" && <i class={`log-dot ${severityColor(value)}`} />}
            <span class="ellipsis">{value.slice(0, 200) || w.facet_empty()}</span>{" "}
            <span class="log-value-count">{lines ? short(lines) : ""}</span>
            {state && <span class="log-unseen"> {state === "in" ? w.facet_included() : w.facet_excluded()}</span>}
          </a>
        );
      })}
      {(found?.hasMore || hasAll) && (
        <button class="log-more" type="button" onClick={() => setAll(!hasAll)}>
          {hasAll ? w.facet_less() : w.facet_more()}
        </button>
      )}
    </section>
  );
}
