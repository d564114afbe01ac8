//! Follows new lines: read as they come, drawn a few times a second.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, address, failed, get, type Problem } from "../../lib/api";
import { problemOf } from "../../lib/data";
import type { SearchAnswer } from "../../lib/types/logs";
import { param } from "../../lib/url";
import { Events, Tail, type Shown } from "./tail";

/** Milliseconds before the next try, longer each time. */
const RETRY = [500, 1000, 2000, 5000, 10_000];

/** Milliseconds between two drawings. */
const LEAST_BETWEEN = 80;

/** Lines that came before, so that the list is not empty where few come. */
const BEFORE = 200;

export type Connection = { state: "connecting" | "open" } | { state: "waiting"; seconds: number } | { state: "refused"; problem: Problem };

export interface TailState {
  connection: Connection;
  shown: Shown;
  /** Lines that came within the latest second. */
  rate: number;
  since: number;
  /** Whether the lines before the first have come, or will not. */
  hasBegun: boolean;
}

const NOTHING: Shown = { lines: [], total: 0, missed: 0 };

/** `isPaused`: what is shown stays, while new lines are counted. */
export function useTail(query: string, isPaused: boolean): TailState & { total: number; missed: number } {
  const tenant = param("tenant");
  const [state, setState] = useState<TailState>({ connection: { state: "connecting" }, shown: NOTHING, rate: 0, since: Date.now(), hasBegun: false });
  const frozen = useRef<Shown | null>(null);
  useEffect(() => {
    const control = new AbortController();
    const tail = new Tail();
    const since = Date.now();
    let [frame, drawnAt] = [0, 0];
    let waiting: ReturnType<typeof setTimeout> | undefined;
    let [rateAt, rateFrom, rate] = [since, 0, 0];
    let hasBegun = false;
    setState({ connection: { state: "connecting" }, shown: NOTHING, rate: 0, since, hasBegun: false });
    const draw = () => {
      [frame, drawnAt] = [0, performance.now()];
      if (control.signal.aborted) return;
      const shown = tail.shown();
      const at = Date.now();
      if (at - rateAt >= 1000) {
        rate = Math.round(((shown.total - rateFrom) * 1000) / (at - rateAt));
        [rateAt, rateFrom] = [at, shown.total];
      }
      setState((before) => ({ ...before, shown, rate, hasBegun }));
    };
    // At most so often: who reads along sees no more, and the page has time for everything else.
    const redraw = () => {
      if (frame || waiting) return;
      const rest = drawnAt + LEAST_BETWEEN - performance.now();
      if (rest > 0) {
        waiting = setTimeout(() => {
          waiting = undefined;
          redraw();
        }, rest);
      } else frame = requestAnimationFrame(draw);
    };
    // The rate falls to nothing also where no line comes.
    const timer = setInterval(redraw, 1000);
    const connect = (connection: Connection) => control.signal.aborted || setState((before) => ({ ...before, connection }));
    const earlier = get<SearchAnswer>("/api/v1/logs/search", { query, limit: BEFORE, start: "now-1h", order: "desc" }, control.signal);
    earlier
      .then(
        ({ hits }) => tail.begin(hits.reverse()),
        () => undefined,
      )
      .finally(() => {
        hasBegun = true;
        redraw();
      });
    let events = new Events();
    follow(query, control.signal, connect, (bytes, isFirst) => {
      if (isFirst) events = new Events();
      tail.take(events.feed(bytes));
      redraw();
    });
    return () => {
      control.abort();
      clearInterval(timer);
      clearTimeout(waiting);
      cancelAnimationFrame(frame);
    };
  }, [query, tenant]);
  if (!isPaused) frozen.current = null;
  else if (state.hasBegun) frozen.current ??= state.shown;
  const { total, missed } = state.shown;
  return { ...state, shown: frozen.current ?? state.shown, total, missed };
}

/** Reads the stream until it is ended, and again where it breaks. */
async function follow(query: string, signal: AbortSignal, connect: (to: Connection) => void, take: (bytes: Uint8Array, isFirst: boolean) => void) {
  for (let tries = 0; !signal.aborted; tries += 1) {
    try {
      const answer = await fetch(address("/api/v1/logs/tail", { query }), { signal, headers: { accept: "text/event-stream" } });
      if (!answer.ok || !answer.body) throw await failed(answer);
      connect({ state: "open" });
      tries = 0;
      const reader = answer.body.getReader();
      take(new Uint8Array(), true);
      for (let read = await reader.read(); !read.done; read = await reader.read()) take(read.value, false);
    } catch (error) {
      if (signal.aborted) return;
      const isFinal = error instanceof ApiError && error.problem.status >= 400 && error.problem.status < 500 && error.problem.status !== 429;
      if (isFinal) return connect({ state: "refused", problem: problemOf(error) });
    }
    const wait = RETRY[Math.min(tries, RETRY.length - 1)] ?? 1000;
    connect({ state: "waiting", seconds: Math.ceil(wait / 1000) });
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
