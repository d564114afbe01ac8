//! Whether what the page shows can be relied on: current, late, or without data.
import { ms } from "../../lib/format";
import { shortClock } from "../../lib/time";
import type { Alerts, Pipeline } from "../../lib/types/alerts";
import { Badge } from "../../ui/parts";
import { w } from "./words";

function lag({ lag_seconds: seconds }: Pipeline): string {
  return seconds === null ? "–" : ms(seconds * 1e3);
}

export function PipelineState({ pipeline }: { pipeline: Pipeline }) {
  const { state, evaluated_until: until, last_call: last, late } = pipeline;
  const at = until ? shortClock(until) : "–";
  const waited = late.length > 0 && (
    <p class="al-late">
      {w.waited_for()}:{" "}
      {late.slice(0, 20).map((one) => (
        <span key={one.collector} class="chip" title={one.collector}>
          {one.host || one.collector} · {one.state}
        </span>
      ))}
    </p>
  );
  if (state === "healthy") {
    return (
      <div class="al-pipeline" role="status">
        <Badge tone="ok">{w.healthy()}</Badge> <span class="faint">{w.healthy_about({ at, lag: lag(pipeline) })}</span>
        {waited}
      </div>
    );
  }
  const text = state === "late" ? w.late_about({ at, lag: lag(pipeline) }) : w.no_data_about({ since: last ? w.since_call({ at: shortClock(last) }) : "" });
  return (
    <div class={`al-pipeline al-banner al-banner-${state === "late" ? "warn" : "bad"}`} role="alert">
      <Badge tone={state === "late" ? "warn" : "bad"}>{state === "late" ? w.late() : w.no_data()}</Badge> <span>{text}</span>
      {waited}
    </div>
  );
}

/** What is wrong with the files that alerts are configured by. */
export function ConfigErrors({ of }: { of: Pick<Alerts, "rules_error"> & Partial<Alerts> }) {
  const errors: [string, string | null | undefined][] = [
    [w.rules_error(), of.rules_error],
    [w.config_error(), of.alertmanager_config_error],
  ];
  return (
    <>
      {errors.map(
        ([title, error]) =>
          error && (
            <div key={title} class="problem" role="alert">
              <strong>{title}</strong>
              <pre>{error.slice(0, 16_384)}</pre>
            </div>
          ),
      )}
    </>
  );
}
