//! Indexed points of a node or a GPU as a chart.
import { useMemo } from "preact/hooks";
import { useData } from "../../lib/data";
import { points, type PointsQuery } from "../../lib/points";
import type { Labels } from "../../lib/prom";
import { SERIES } from "../../lib/theme";
import { asked, isLive, now, range } from "../../lib/time";
import { param } from "../../lib/url";
import { Chart, type ChartProps } from "../../ui/Chart";
import { Empty, Panel, Show } from "../../ui/parts";
import { w } from "./words";

export interface Line {
  label: string;
  values: (number | null)[];
  color?: string;
}

export interface PointsChartProps extends Pick<ChartProps, "unit" | "stacked" | "least" | "most" | "thresholds" | "marks"> {
  title: string;
  asks: PointsQuery[];
  /** What a series is called; null leaves it out. */
  name: (labels: Labels) => string | null;
  /** Made of the series that were read, where they are not drawn as they are. */
  shape?: (lines: Line[]) => Line[];
  sync: string;
}

const MOST_LINES = 12;

export function PointsChart({ title, asks, name, shape, sync, ...chart }: PointsChartProps) {
  const { from, to } = range.value;
  const moved = isLive.value ? now.value : 0;
  const data = useData([asks, asked.value, moved, param("tenant")], async (signal) => {
    const answers = await Promise.all(asks.map((ask) => points(ask, signal)));
    return { times: answers[0]?.times ?? [], series: answers.flatMap((answer, ask) => answer.series.map((one) => ({ ...one, ask }))) };
  });
  const lines = useMemo(() => {
    const named = (data.data?.series ?? []).flatMap(({ labels, values, ask }) => {
      const label = name(labels);
      return label === null ? [] : [{ label, values, ask }];
    });
    const sorted = named.sort((a, b) => a.ask - b.ask || a.label.localeCompare(b.label, "en", { numeric: true }));
    const shaped = (shape ? shape(sorted) : sorted).slice(0, MOST_LINES);
    return shaped.map((line: Line, at) => ({ ...line, color: line.color ?? SERIES[at % SERIES.length] ?? "s1" }));
  }, [data.data, title]);
  return (
    <Panel title={title}>
      <Show of={data}>
        {({ times }) =>
          lines.some((line) => line.values.some((value) => value !== null)) ? (
            <Chart label={title} times={times} series={lines} from={from / 1e3} to={to / 1e3} height={130} sync={sync} {...chart} />
          ) : (
            <Empty>{w.chart_none()}</Empty>
          )
        }
      </Show>
    </Panel>
  );
}
