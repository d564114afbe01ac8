//! Lines of the same source before and after one.
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import type { ContextAnswer, Hit } from "../../lib/types/logs";
import { severityColor } from "../../lib/theme";
import { Show } from "../../ui/parts";
import { line } from "./body";
import { Spans, timeText } from "./LineRow";
import { lineHref } from "./view";
import { w } from "./words";

const FIRST = 10;
const MORE = 40;
/** With more, the page would need a virtual list; the search has one. */
const MOST = 90;

export function Context({ hit }: { hit: Hit }) {
  const [before, setBefore] = useState(FIRST);
  const [after, setAfter] = useState(FIRST);
  const around = useData([hit.id, before, after], (signal) =>
    get<ContextAnswer>("/api/v1/logs/{id}/context", { id: hit.id, timestamp: hit.timestamp, before, after }, signal),
  );
  return (
    <Show of={around}>
      {(found) => (
        <div class="log-context" aria-label={w.context_about()}>
          {found.before.length >= before && before < MOST && (
            <button class="log-more" type="button" onClick={() => setBefore(before + MORE)}>
              ↑ {w.before_more()}
            </button>
          )}
          {found.before.map((one) => (
            <ContextLine key={one.id} hit={one} />
          ))}
          <ContextLine hit={hit} isThis />
          {found.after.map((one) => (
            <ContextLine key={one.id} hit={one} />
          ))}
          {found.after.length >= after && after < MOST && (
            <button class="log-more" type="button" onClick={() => setAfter(after + MORE)}>
              ↓ {w.after_more()}
            </button>
          )}
        </div>
      )}
    </Show>
  );
}

function ContextLine({ hit, isThis }: { hit: Hit; isThis?: boolean }) {
  const shown = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    if (isThis) shown.current?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <a
      ref={shown}
      class={`log-context-line ${severityColor(hit.severity)} ${isThis ? "log-open" : ""}`}
      href={lineHref(hit)}
      aria-current={isThis ? "true" : undefined}
      title={hit.timestamp}
    >
      <span class="faint">{timeText(hit.timestamp, false)}</span>
      <span>
        <Spans of={line(hit)} />
      </span>
    </a>
  );
}
