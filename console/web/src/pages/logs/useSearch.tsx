//! Lines of a stretch of time, with their counts over time.
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { get, type Problem } from "../../lib/api";
import { useData, type Data } from "../../lib/data";
import { count, ms } from "../../lib/format";
import { useKey } from "../../lib/keys";
import { asked, bounds, isLive as isMoving, range, shortClock, step } from "../../lib/time";
import { linesBySeverity } from "../../lib/histogram";
import type { CountAnswer, HistogramAnswer, Hit } from "../../lib/types/logs";
import { param } from "../../lib/url";
import { ProblemBox } from "../../ui/parts";
import { Histogram } from "./Histogram";
import { LineList } from "./LineList";
import { NoLines } from "./NoLines";
import { Notices } from "./Notices";
import { useCursor } from "./useCursor";
import { useLines } from "./useLines";
import type { View } from "./view";
import { w } from "./words";

/** What the page puts in its places. */
export interface Parts {
  notices: ComponentChildren;
  status: ComponentChildren;
  list: ComponentChildren;
  /** Lines that match; undefined where it is not known. */
  lines: number | undefined;
  isReady: boolean;
  problem: Problem | undefined;
}

/** Most milliseconds that the index is behind before it is said. */
const LATE = 60_000;
const DAY = 864e5;

export function useSearch(view: View, isOn: boolean, onOpen: (hit: Hit) => void): Parts {
  const { query, order, columns, line } = view;
  const tenant = param("tenant");
  const scroller = useRef<HTMLDivElement>(null);
  const isHeld = () => (scroller.current?.scrollTop ?? 0) > 40 || param("line") !== "";
  const search = { query, order, tenant, asked: asked.value, bounds: bounds.value };
  const found = useLines(isOn ? search : null, isHeld);
  const inputs = [isOn, query, bounds.value, tenant];
  const total = useData<CountAnswer>(inputs, isOn ? (signal) => get("/api/v1/logs/count", { query, ...bounds.value }, signal) : null);
  const every = step(range.value, 120);
  const counts: Data<HistogramAnswer> = useData<HistogramAnswer>(
    [...inputs, every],
    isOn ? (signal) => linesBySeverity(query, every, signal) : null,
  );
  const hits = found.lines?.hits ?? [];
  const open = (index: number) => {
    const hit = hits[index];
    if (hit) onOpen(hit);
  };
  const cursor = useCursor(JSON.stringify([query, order, tenant, asked.value, isOn]), isOn ? hits.length : 0, line !== "", open);
  useKey("Home", w.key_newest, () => scroller.current?.scrollTo({ top: 0 }));
  const isBad = found.problem !== undefined && !found.lines;
  const hasDay = range.value.to - range.value.from > DAY || new Date(range.value.from).toDateString() !== new Date().toDateString();
  const lines = total.data?.count;
  const foot = (
    <>
      {found.problem && found.lines && <ProblemBox problem={found.problem} retry={found.retryMore} />}
      {found.lines && !found.lines.cursor && hits.length > 20 && <div class="log-foot">{w.all_loaded({ n: count(hits.length) })}</div>}
    </>
  );
  return {
    lines,
    isReady: found.lines !== undefined && counts.data !== undefined,
    problem: found.problem,
    notices: <Notices query={query} problem={isBad ? found.problem : undefined} hints={found.lines?.hints ?? []} gaps={found.lines?.gaps ?? []} retry={found.reload} />,
    status: (
      <>
        <strong>{lines === undefined ? (total.problem ? "" : w.counting()) : lines === 1 ? w.count_one() : w.count({ n: count(lines) })}</strong>
        {hits.length > 0 && <span class="faint wide-only">{w.loaded({ n: count(hits.length) })}</span>}
        {found.lines && <span class="faint wide-only">{ms(found.lines.tookMs)}</span>}
        {found.lines && <Until time={found.lines.indexedUntil} />}
        {found.isOld && (
          <span class="log-old">
            {w.old()}{" "}
            <button
              class="log-more"
              type="button"
              onClick={() => {
                scroller.current?.scrollTo({ top: 0 });
                found.reload();
              }}
            >
              {w.show_newest()}
            </button>
          </span>
        )}
      </>
    ),
    list: isBad ? null : (
      <>
        <Histogram of={counts} from={range.value.from} to={range.value.to} />
        {found.lines && !hits.length ? (
          <NoLines query={query} />
        ) : !found.lines ? (
          <div class="loading">{w.loading()}</div>
        ) : (
          <LineList
            count={hits.length}
            hitAt={(index) => hits[index]}
            columns={columns}
            order={order}
            hasDay={hasDay}
            open={line}
            current={cursor.current}
            onOpen={(index) => {
              cursor.setCurrent(index);
              open(index);
            }}
            onEnd={found.more}
            scroller={scroller}
            isBusy={found.isReplaced}
            foot={foot}
          />
        )}
      </>
    ),
  };
}

/** How far the index is, where that is before the end of what is asked for. */
function Until({ time }: { time: string }) {
  const behind = (isMoving.value ? Date.now() : Math.min(range.value.to, Date.now())) - Date.parse(time);
  if (!(behind > LATE)) return null;
  return <span class="tone-warn">{w.until({ time: shortClock(time) })}</span>;
}
