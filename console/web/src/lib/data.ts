//! What a page asks for, asked again when its inputs change and while time goes on.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, type Problem } from "./api";

export interface Data<T> {
  /** The latest answer; stays while the next one is under way. */
  data: T | undefined;
  problem: Problem | undefined;
  loading: boolean;
  reload: () => void;
}

/**
 * Asks when `inputs` change (compared as JSON). What is under way for older inputs is ended. Reading signals within `load`
 * subscribes nothing: name them in `inputs`. `load` null: nothing is asked.
 */
export function useData<T>(inputs: unknown[], load: ((signal: AbortSignal) => Promise<T>) | null): Data<T> {
  const [state, setState] = useState<{ data?: T; problem?: Problem; loading: boolean }>({ loading: load !== null });
  const [round, setRound] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const key = JSON.stringify(inputs);
  useEffect(() => {
    const load = latest.current;
    if (!load) return setState({ loading: false });
    const control = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    load(control.signal).then(
      (data) => control.signal.aborted || setState({ data, loading: false }),
      (error: unknown) => {
        if (control.signal.aborted) return;
        setState((before) => ({ data: before.data, problem: problemOf(error), loading: false }));
      },
    );
    return () => control.abort();
  }, [key, round, load === null]);
  return { data: state.data, problem: state.problem, loading: state.loading, reload: () => setRound((at) => at + 1) };
}

export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  return { status: 0, title: "error", detail: String(error) };
}
