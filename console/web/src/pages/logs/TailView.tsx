//! Live lines: the newest as they come, until one scrolls away from them or pauses.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { count } from "../../lib/format";
import { useKey } from "../../lib/keys";
import { shortClock } from "../../lib/time";
import type { Hit } from "../../lib/types/logs";
import { LineList, ROW_HEIGHT } from "./LineList";
import { QueryProblem } from "./QueryBar";
import { hitOf, WINDOW } from "./tail";
import { useCursor } from "./useCursor";
import { useTail, type Connection } from "./useTail";
import type { View } from "./view";
import { w } from "./words";

export function TailView({ view, onOpen, onReady, status }: { view: View; onOpen: (hit: Hit) => void; onReady: () => void; status: (text: ComponentChildren) => ComponentChildren }) {
  const { query, order, columns, line } = view;
  const [isPaused, setPaused] = useState(line !== "");
  const scroller = useRef<HTMLDivElement>(null);
  const tail = useTail(query, isPaused);
  const { lines } = tail.shown;
  const isReady = tail.connection.state === "open";
  useEffect(() => {
    if (isReady) onReady();
  }, [isReady]);
  const indexOf = (row: number) => (order === "desc" ? lines.length - 1 - row : row);
  const hitAt = (row: number) => hitOf(lines[indexOf(row)]);
  const open = (row: number) => {
    const hit = hitAt(row);
    setPaused(true);
    if (hit) onOpen(hit);
  };
  const cursor = useCursor(`${query} ${order}`, lines.length, line !== "", open, () => setPaused(true));
  const resume = () => {
    cursor.setCurrent(-1);
    setPaused(false);
  };
  useKey(" ", w.pause_about, () => (isPaused ? resume() : setPaused(true)));
  // While lines are followed the newest stay in sight, at the top or at the end.
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!isPaused && box) box.scrollTop = order === "desc" ? 0 : box.scrollHeight;
  }, [lines, isPaused, order]);
  useEffect(() => {
    const selected = () => {
      const selection = getSelection();
      if (selection && !selection.isCollapsed && scroller.current?.contains(selection.anchorNode)) setPaused(true);
    };
    document.addEventListener("selectionchange", selected);
    return () => document.removeEventListener("selectionchange", selected);
  }, []);
  const moved = (top: number) => {
    const box = scroller.current;
    if (!box || isPaused) return;
    const away = order === "desc" ? top : box.scrollHeight - box.clientHeight - top;
    if (away > ROW_HEIGHT * 2) setPaused(true);
  };
  const missing = isPaused ? tail.total - tail.shown.total : 0;
  const { connection } = tail;
  return (
    <>
      {status(
        <>
          <button class="btn" type="button" aria-pressed={isPaused} title={w.pause_about()} onClick={() => (isPaused ? resume() : setPaused(true))}>
            {isPaused ? w.resume() : w.pause()}
          </button>
          <ConnectionText of={connection} isPaused={isPaused} />
          {missing > 0 && (
            <button class="btn btn-primary" type="button" onClick={resume}>
              {missing === 1 ? w.live_new_one() : w.live_new({ n: count(missing) })}
            </button>
          )}
          <span class="faint">{w.live_rate({ n: count(tail.rate) })}</span>
          <span class="faint wide-only">{w.live_seen({ n: count(tail.total), time: shortClock(tail.since) })}</span>
          {tail.total > WINDOW && <span class="faint wide-only">{w.live_window({ n: count(WINDOW) })}</span>}
          {tail.missed > 0 && <span class="tone-warn">{w.live_missed({ n: count(tail.missed) })}</span>}
        </>,
      )}
      {connection.state === "refused" ? (
        <QueryProblem query={query} problem={connection.problem} />
      ) : lines.length ? (
        <LineList
          count={lines.length}
          hitAt={hitAt}
          columns={columns}
          order={order}
          hasDay={false}
          open={line}
          current={cursor.current}
          onOpen={(row) => {
            cursor.setCurrent(row);
            open(row);
          }}
          onScroll={moved}
          scroller={scroller}
        />
      ) : (
        <div class="empty">{w.live_wait()}</div>
      )}
    </>
  );
}

function ConnectionText({ of, isPaused }: { of: Connection; isPaused: boolean }) {
  if (of.state === "connecting") return <span class="faint">{w.live_connecting()}</span>;
  if (of.state === "waiting") return <span class="tone-warn">{w.live_again({ n: of.seconds })}</span>;
  if (of.state === "refused") return null;
  return isPaused ? <span class="tone-warn">{w.live_paused()}</span> : <span class="tone-ok">{w.live_on()}</span>;
}
