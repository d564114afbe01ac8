//! What a trace waited for, by share.
import { useState } from "preact/hooks";
import { ms, percent } from "../../lib/format";
import type { CriticalPath } from "../../lib/types/traces";
import { here } from "../../lib/url";
import { Panel, Shares } from "../../ui/parts";
import { w } from "./words";

const LISTED = 6;
/** In the bar: less is no wider than a pixel. */
const LEAST_SHARE = 0.001;

export function Critical({ path, colors }: { path: CriticalPath; colors: Map<string, string> }) {
  const [all, setAll] = useState(false);
  const whole = path.duration_ns || 1;
  const steps = path.critical_path;
  const byShare = [...steps].sort((a, b) => b.self_ns - a.self_ns);
  const listed = all ? byShare.slice(0, 200) : byShare.slice(0, LISTED);
  const parts = steps.filter((one) => one.self_ns / whole >= LEAST_SHARE);
  return (
    <Panel title={w.critical_path()} actions={<span class="faint wide-only">{path.truncated ? w.critical_cut() : w.critical_about()}</span>}>
      <div class="critical-bar">
        <Shares
          label={w.critical_path()}
          parts={parts.map((one) => ({ share: one.self_ns / whole, color: colors.get(one.service) ?? "s8", label: `${one.service} ${one.name}: ${percent(one.self_ns / whole)}`.slice(0, 300) }))}
        />
      </div>
      <ol class="critical-list">
        {listed.map((one, at) => (
          <li key={at}>
            <span class="critical-share">{percent(one.self_ns / whole)}</span>
            <span class="critical-time">{ms(one.self_ns / 1e6)}</span>
            <i class="wf-color" style={{ background: `var(--${colors.get(one.service) ?? "s8"})` }} />
            <a class="ellipsis" href={here({ span: one.span_id })}>
              <b>{one.service.slice(0, 200)}</b> {one.name.slice(0, 300)}
            </a>
          </li>
        ))}
      </ol>
      {!all && byShare.length > LISTED && (
        <button class="btn" type="button" onClick={() => setAll(true)}>
          {w.more_rows({ n: byShare.length })}
        </button>
      )}
    </Panel>
  );
}
