//! Why there is no line, and where there would be one.
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { ago, bounds, clock } from "../../lib/time";
import type { SearchAnswer } from "../../lib/types/logs";
import { param } from "../../lib/url";
import { Empty } from "../../ui/parts";
import { aroundHref, queryHref } from "./view";
import { w } from "./words";

export function NoLines({ query }: { query: string }) {
  const newest = useData([query, bounds.value, param("tenant")], (signal) => get<SearchAnswer>("/api/v1/logs/search", { query, limit: 1, order: "desc" }, signal));
  const hit = newest.data?.hits[0];
  const without = query && (
    <a class="btn" href={queryHref("")}>
      {w.empty_without()}
    </a>
  );
  if (!newest.data) return <Empty>{query ? w.empty() : w.empty_all()}</Empty>;
  if (!hit) return <Empty action={without}>{query ? w.empty_never() : w.empty_nothing()}</Empty>;
  return (
    <Empty
      action={
        <span class="row">
          <a class="btn btn-primary" href={aroundHref(hit.timestamp)}>
            {w.empty_show()}
          </a>
          {without}
        </span>
      }
    >
      {query ? w.empty() : w.empty_all()} {w.empty_newest({ time: clock(hit.timestamp, 0), ago: ago(hit.timestamp) })}
    </Empty>
  );
}
