//! One line of the list.
import type { Hit } from "../../lib/types/logs";
import { severityColor } from "../../lib/theme";
import { clock } from "../../lib/time";
import type { Span } from "./ansi";
import { line } from "./body";
import { field } from "./fields";
import { lineHref } from "./view";

export function Spans({ of }: { of: Span[] }) {
  return (
    <>
      {of.map((span) => {
        if (span.isMatch) return <mark class={span.look}>{span.text}</mark>;
        return span.look ? <span class={span.look}>{span.text}</span> : span.text;
      })}
    </>
  );
}

export interface LineRowProps {
  hit: Hit;
  columns: string[];
  /** Whether the day is shown beside the time. */
  hasDay: boolean;
  isOpen: boolean;
  isCurrent: boolean;
  onOpen: () => void;
}

export function timeText(timestamp: string, hasDay: boolean): string {
  const text = clock(timestamp);
  return hasDay ? text.slice(5) : text.slice(11);
}

export function LineRow({ hit, columns, hasDay, isOpen, isCurrent, onOpen }: LineRowProps) {
  const click = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || getSelection()?.isCollapsed === false) return;
    event.preventDefault();
    onOpen();
  };
  return (
    <div class={`log-row ${severityColor(hit.severity)} ${isOpen ? "log-open" : ""} ${isCurrent ? "log-current" : ""}`} onClick={click}>
      <a class="log-time" href={lineHref(hit)} title={`${hit.timestamp} ${hit.severity}`} tabIndex={-1}>
        {timeText(hit.timestamp, hasDay)}
      </a>
      <span class="log-severity">{hit.severity.slice(0, 5)}</span>
      <span class="log-cell log-service" title={hit.service}>
        {hit.service}
      </span>
      {columns.map((name) => {
        const value = field(hit, name)?.slice(0, 300) ?? "";
        return (
          <span key={name} class="log-cell" title={value}>
            {value}
          </span>
        );
      })}
      <span class="log-body">
        <Spans of={line(hit)} />
      </span>
    </div>
  );
}
