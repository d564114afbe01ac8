//! What a scaler was answered over time, and what that means for it.
import type { Range } from "../../lib/time";
import type { Scaler } from "../../lib/types/scaling";

/** How a scaler fares. */
export type State = "error" | "silent" | "over" | "within" | "idle" | "answered";

/** A scaler that has not asked for so long does not ask any more: KEDA's usual interval is 30 s, HPAs' is 15 s. */
const SILENT_MS = 5 * 60e3;

export function stateOf(scaler: Scaler, now: number): State {
  if (now - Date.parse(scaler.last_asked) > SILENT_MS) return "silent";
  if (scaler.error !== null) return "error";
  if (scaler.active === false) return "idle";
  if (scaler.target === null || scaler.value === null) return "answered";
  return scaler.value > scaler.target ? "over" : "within";
}

/** Which is to be looked at first. */
export const RANK: Record<State, number> = { error: 0, silent: 1, over: 2, within: 3, answered: 4, idle: 5 };

/** A name for each scaler, to be put into an address; the second of the same name ends with `~2`. */
export function named(scalers: Scaler[]): { id: string; scaler: Scaler }[] {
  const seen = new Map<string, number>();
  return scalers.map((scaler) => {
    const { namespace, name, metric, selector } = scaler;
    const base = [namespace, name, metric, selector].filter(Boolean).join("/");
    const nth = (seen.get(base) ?? 0) + 1;
    seen.set(base, nth);
    return { id: nth > 1 ? `${base}~${nth}` : base, scaler };
  });
}

export interface Course {
  /** Unix seconds. */
  times: number[];
  values: (number | null)[];
  targets: (number | null)[];
  /** When errors began. */
  errors: { at: number; error: string }[];
}

interface Answer {
  at: number;
  value: number | null;
  error: string | null;
  target: number | null;
}

/** Answers in the order of time: the history, or, from an older weir, the changes alone. */
export function answersOf(scaler: Scaler): Answer[] {
  const history = (scaler.history ?? []).map(({ time, value, error, target }) => ({ at: Date.parse(time) / 1e3, value, error, target }));
  if (history.length) return history.filter((answer) => !Number.isNaN(answer.at));
  const changes = (scaler.changes ?? []).map(({ at, value, error }) => ({ at: Date.parse(at) / 1e3, value, error, target: scaler.target }));
  const last = changes.at(-1);
  // What has not changed since is still so.
  const now = Date.parse(scaler.last_asked) / 1e3;
  return last && now > last.at ? [...changes, { ...last, at: now }] : changes;
}

/** The part within a stretch of time; the answer in force at its start is its first. */
export function courseOf(scaler: Scaler, { from, to }: Range): Course {
  const all = answersOf(scaler);
  const [first, last] = [from / 1e3, to / 1e3];
  const before = all.findLast((answer) => answer.at < first);
  const within = all.filter((answer) => answer.at >= first && answer.at <= last);
  const shown = before && within.length ? [{ ...before, at: first }, ...within] : within;
  const errors = shown.filter((answer, at) => answer.error !== null && shown[at - 1]?.error == null);
  return {
    times: shown.map((answer) => answer.at),
    values: shown.map((answer) => answer.value),
    targets: shown.map((answer) => answer.target),
    errors: errors.map(({ at, error }) => ({ at, error: error ?? "" })),
  };
}

/** Answers in reverse, each as long as it was the same. */
export function log(scaler: Scaler, most: number): { at: number; until: number; value: number | null; error: string | null }[] {
  const runs: { at: number; until: number; value: number | null; error: string | null }[] = [];
  for (const { at, value, error } of answersOf(scaler)) {
    const last = runs.at(-1);
    if (last && last.value === value && last.error === error) last.until = at;
    else runs.push({ at, until: at, value, error });
  }
  return runs.reverse().slice(0, most);
}
