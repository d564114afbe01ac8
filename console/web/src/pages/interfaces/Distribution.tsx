//! How many calls took how long, on a logarithmic axis.
import { count, ms, percent } from "../../lib/format";
import { axisTicks, bars, type Latency, placeOf } from "./latency";
import { w } from "./words";

const BARS = 72;

export function Distribution({ latency, limits }: { latency: Latency; limits: number[] }) {
  const shown = bars(latency.slots, BARS);
  if (!shown) return <p class="faint">{w.distribution_none()}</p>;
  const quantiles = [
    [w.p50(), latency.p50_ms],
    [w.p99(), latency.p99_ms],
    [w.p999(), latency.p999_ms],
  ] as const;
  return (
    <div class="dist" role="img" aria-label={w.distribution_label({ n: count(latency.count) })}>
      <div class="dist-bars">
        {shown.bars.map((bar) => (
          <i
            key={bar.from}
            title={bar.count ? w.slot({ from: ms(bar.from), to: ms(bar.to), n: count(bar.count), share: percent(bar.count / latency.count, 2) }) : undefined}
            class={limits.some((limit) => bar.from >= limit) ? "dist-over" : ""}
            style={{ height: bar.count ? `${Math.max(1.5, (bar.count / shown.most) * 100)}%` : "0" }}
          />
        ))}
        {quantiles.map(
          ([label, value]) =>
            value !== null && (
              <span key={label} class={placeOf(shown, value) > 0.9 ? "dist-mark dist-mark-left" : "dist-mark"} style={{ left: `${placeOf(shown, value) * 100}%` }}>
                <b>
                  {label} {ms(value)}
                </b>
              </span>
            ),
        )}
      </div>
      <div class="dist-axis">
        {axisTicks(shown).map((tick) => (
          <span key={tick} style={{ left: `${placeOf(shown, tick) * 100}%` }}>
            {ms(tick)}
          </span>
        ))}
      </div>
    </div>
  );
}
