//! Logs: search, counts over time, one line as a whole, live lines.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useKey } from "../../lib/keys";
import { tick } from "../../lib/time";
import type { Hit } from "../../lib/types/logs";
import { param, set } from "../../lib/url";
import { Detail } from "./Detail";
import { Facets } from "./Facets";
import "./logs.css";
import { QueryBar } from "./QueryBar";
import { useSearch } from "./useSearch";
import { TailView } from "./TailView";
import { Toolbar } from "./Toolbar";
import { view } from "./view";
import { w } from "./words";

const NARROW = 900;

export default function Page() {
  const shown = view();
  const { query, order, isLive, line, at } = shown;
  const [hasFacets, setFacets] = useState(innerWidth > NARROW);
  const [isFollowing, setFollowing] = useState(false);
  const [opened, setOpened] = useState<Hit>();
  const open = (hit: Hit) => {
    setOpened(hit);
    set({ line: hit.id, at: hit.timestamp }, line !== "");
  };
  const close = () => set({ line: null, at: null });
  const toggleLive = () => {
    set({ live: isLive ? null : "1", line: null, at: null });
    tick();
  };
  const search = useSearch(shown, !isLive, open);
  useKey("Escape", w.key_close, () => line && close());
  useKey("o", w.key_order, () => set({ order: order === "desc" ? "asc" : null }));
  const toolbar = (status: ComponentChildren) => (
    <Toolbar view={shown} lines={isLive ? undefined : search.lines} hasFacets={hasFacets} onFacets={() => setFacets(!hasFacets)} onLive={toggleLive}>
      {status}
    </Toolbar>
  );
  return (
    <div class={`page-full logs ${hasFacets ? "logs-facets" : ""} ${line ? "logs-detail" : ""}`}>
      <QueryBar problem={search.problem} />
      {!isLive && search.notices}
      <div class="log-columns">
        {hasFacets && (isLive || !search.problem) && <Facets query={query} isReady={isLive ? isFollowing : search.isReady && search.lines !== undefined} lines={isLive ? undefined : search.lines} onClose={() => setFacets(false)} />}
        <div class="log-main">
          {isLive ? (
            <TailView key={`${shown.query}\n${param("tenant")}`} view={shown} onOpen={open} onReady={() => setFollowing(true)} status={toolbar} />
          ) : (
            <>
              {toolbar(search.status)}
              {search.list}
            </>
          )}
        </div>
        {line && <Detail id={line} at={at} known={opened?.id === line ? opened : undefined} onClose={close} />}
      </div>
    </div>
  );
}
