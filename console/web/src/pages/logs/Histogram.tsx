//! How many lines there are over time, by severity; a drag shows that stretch.
import { useMemo } from "preact/hooks";
import type { Data } from "../../lib/data";
import { count } from "../../lib/format";
import { histogram } from "../../lib/severity";
import { severityColor } from "../../lib/theme";
import type { HistogramAnswer } from "../../lib/types/logs";
import { lang } from "../../lib/words";
import { Chart } from "../../ui/Chart";
import { ProblemBox } from "../../ui/parts";
import { w } from "./words";

export function Histogram({ of, from, to }: { of: Data<HistogramAnswer>; from: number; to: number }) {
  const shown = useMemo(() => {
    const { times, levels } = of.data ? histogram(of.data, from, to) : { times: [], levels: [] };
    return { times, series: levels.map(({ level, values }) => ({ label: level || w.no_severity(), color: severityColor(level), values })) };
  }, [of.data, lang.value]);
  const step = of.data?.interval_seconds ?? 0;
  return (
    <section class="log-histogram panel" aria-busy={of.loading}>
      {of.problem ? (
        <ProblemBox problem={of.problem} retry={of.reload} />
      ) : (
        <Chart
          label={w.histogram()}
          times={shown.times}
          series={shown.series}
          kind="bars"
          height={92}
          legend={false}
          unit={count}
          from={Math.min(shown.times[0] ?? from / 1e3, from / 1e3)}
          to={Math.max(to / 1e3, (shown.times.at(-1) ?? 0) + step)}
        />
      )}
    </section>
  );
}
