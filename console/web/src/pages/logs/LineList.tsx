//! The list of lines with its head: only what is in sight is in the page.
import type { ComponentChildren, RefObject } from "preact";
import { useMemo } from "preact/hooks";
import type { Hit } from "../../lib/types/logs";
import { here } from "../../lib/url";
import { Icon } from "../../ui/icons";
import { VirtualList } from "../../ui/Virtual";
import { shortName, widths } from "./fields";
import { LineRow } from "./LineRow";
import { columnsWith } from "./view";
import { w } from "./words";

export const ROW_HEIGHT = 22;

export interface LineListProps {
  count: number;
  hitAt: (index: number) => Hit | undefined;
  columns: string[];
  order: "asc" | "desc";
  hasDay: boolean;
  /** The open line. */
  open: string;
  /** The line that the keys are at. */
  current: number;
  onOpen: (index: number) => void;
  onEnd?: () => void;
  onScroll?: (top: number) => void;
  scroller?: RefObject<HTMLDivElement | null>;
  /** The lines are about to be replaced. */
  isBusy?: boolean;
  /** Behind the last line. */
  foot?: ComponentChildren;
}

export function LineList(props: LineListProps) {
  const { count, hitAt, columns, order, hasDay } = props;
  const isFilled = count > 0;
  const tracks = useMemo(() => {
    const sample = Array.from({ length: Math.min(count, 60) }, (_, at) => hitAt(at));
    const service = Math.min(20, Math.max(7, ...sample.map((hit) => hit?.service.length ?? 0)));
    const chosen = widths(columns, sample).map((width) => `${width}ch`);
    const time = hasDay ? "18ch" : "12ch";
    return {
      "--log-columns": [time, "5ch", `${service}ch`, ...chosen, "minmax(160px, 1fr)"].join(" "),
      "--log-columns-narrow": [time, ...chosen, "minmax(200px, 1fr)"].join(" "),
    };
  }, [columns.join(), isFilled, hasDay]);
  return (
    <div class="log-list" style={tracks} aria-busy={props.isBusy}>
      <div class="log-head">
        <a href={here({ order: order === "desc" ? "asc" : null })} title={order === "desc" ? w.newest_first() : w.oldest_first()}>
          {w.time()} {order === "desc" ? "↓" : "↑"}
        </a>
        <span class="log-severity" />
        <span class="log-service">{w.service()}</span>
        {columns.map((name) => (
          <span key={name} class="log-column" title={name}>
            <span class="ellipsis">{shortName(name)}</span>
            <a href={here({ columns: columnsWith(columns, name) })} aria-label={w.column_remove({ name })} title={w.column_remove({ name })}>
              <Icon name="close" size={10} />
            </a>
          </span>
        ))}
        <span>{w.body()}</span>
      </div>
      <VirtualList
        class="log-lines"
        label={w.lines()}
        count={count}
        estimate={ROW_HEIGHT}
        overscan={10}
        ahead={100}
        current={props.current}
        onEnd={props.onEnd}
        onScroll={props.onScroll}
        scroller={props.scroller}
      >
        {(index) => {
          const hit = hitAt(index);
          if (!hit) return null;
          return (
            <LineRow
              hit={hit}
              columns={columns}
              hasDay={hasDay}
              isOpen={hit.id === props.open}
              isCurrent={index === props.current}
              onOpen={() => props.onOpen(index)}
            />
          );
        }}
      </VirtualList>
      {props.foot}
    </div>
  );
}
