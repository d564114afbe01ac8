//! When a silence is in force. Pure.
import type { Silence } from "../../lib/types/alerts";

type Stretch = Pick<Silence, "startsAt" | "endsAt">;

/** Of a new silence, or of one that is changed: its start stays, and its end where no length is chosen. */
export function stretchOf(changed: Stretch | undefined, length: number | null, now: number): Stretch {
  if (changed && length === null) return { startsAt: changed.startsAt, endsAt: changed.endsAt };
  const start = changed?.startsAt ?? new Date(now).toISOString();
  return { startsAt: start, endsAt: new Date(Math.max(now, Date.parse(start)) + (length ?? 0)).toISOString() };
}
