//! Says so where the numbers are older than they seem.
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { ms } from "../../lib/format";
import { bounds, isLive, shortClock } from "../../lib/time";
import type { Alerts } from "../../lib/types/alerts";
import { w } from "./words";

export function Freshness() {
  const { data } = useData([bounds.value, isLive.value], isLive.value ? (signal) => get<Alerts>("/api/v1/alerts", {}, signal) : null);
  const { state, event_time, lag_seconds } = data?.pipeline ?? {};
  if (!state || state === "healthy" || !event_time) return null;
  const time = shortClock(event_time);
  return (
    <p class="tone-warn" role="status">
      {state === "late" ? w.late({ time, length: ms((lag_seconds ?? 0) * 1e3) }) : w.no_data({ time })}
    </p>
  );
}
