//! One scaler: what it was answered over time, against its target.
import { ms, short } from "../../lib/format";
import { ago, clock, now, range, shortClock } from "../../lib/time";
import type { Scaler } from "../../lib/types/scaling";
import { here } from "../../lib/url";
import { Chart } from "../../ui/Chart";
import { CopyButton, Empty, Panel, Stat } from "../../ui/parts";
import { Table } from "../../ui/Table";
import { courseOf, log, stateOf } from "./course";
import { StateBadge } from "./ScalerTable";
import { w } from "./words";

/** Answers that are listed. */
const MOST_ANSWERS = 500;

export function ScalerView({ scaler }: { scaler: Scaler }) {
  const name = `${scaler.namespace}/${scaler.name}`;
  const state = stateOf(scaler, now.value);
  const course = courseOf(scaler, range.value);
  const { from, to } = range.value;
  const answers = log(scaler, MOST_ANSWERS);
  const target = { label: w.target(), color: "s2", values: course.targets };
  return (
    <>
      <nav class="scaling-path" aria-label={w.path()}>
        <a href={here({ scaler: null })}>{w.back()}</a>
        <span aria-hidden="true">/</span>
        <strong class="ellipsis">{name}</strong>
        <StateBadge state={state} />
      </nav>
      {scaler.error !== null && state !== "silent" && (
        <div class="problem" role="alert">
          <strong>{w.error_about()}</strong>
          <p>{scaler.error.slice(0, 16_384)}</p>
        </div>
      )}
      {state === "silent" && <p class="tone-warn">{w.silent_about({ ago: ago(scaler.last_asked) })}</p>}
      <div class="stats">
        <Stat label={w.value()} value={scaler.value === null ? "–" : short(scaler.value)} />
        <Stat label={w.target()} value={scaler.target === null ? "–" : short(scaler.target)} note={scaler.activation_target ? `${w.activation()} ${short(scaler.activation_target)}` : undefined} />
        <Stat label={w.last_asked()} value={ago(scaler.last_asked)} note={`${w.asked()} ${scaler.asked}`} />
        <Stat label={w.event_time()} value={scaler.event_time ? shortClock(scaler.event_time) : "–"} />
      </div>
      <Panel title={w.course()}>
        {course.times.length ? (
          <Chart
            label={w.course_of({ name })}
            height={220}
            times={course.times}
            series={[{ label: w.value(), color: "s1", values: course.values }, target]}
            from={from / 1e3}
            to={to / 1e3}
            marks={course.errors.map(({ at }) => ({ at, label: w.error(), color: "bad" }))}
          />
        ) : (
          <Empty>{w.no_course()}</Empty>
        )}
      </Panel>
      <Panel title={w.query()} actions={<CopyButton text={scaler.query} />}>
        <pre>{scaler.query.slice(0, 16_384)}</pre>
        <dl class="scaling-facts">
          <dt>{w.via()}</dt>
          <dd>{w[scaler.kind]()}</dd>
          <dt>{w.metric()}</dt>
          <dd>{scaler.metric}</dd>
          {scaler.selector && (
            <>
              <dt>{w.selector()}</dt>
              <dd>{scaler.selector}</dd>
            </>
          )}
          <dt>{w.tenant()}</dt>
          <dd>{scaler.tenant ?? w.no_tenant()}</dd>
          <dt>{w.first_asked()}</dt>
          <dd>{clock(scaler.first_asked, 0)}</dd>
        </dl>
      </Panel>
      <Panel title={w.answers()} class="panel-flush">
        <Table
          label={w.answers()}
          rows={answers}
          keyOf={(answer) => `${answer.at}`}
          tone={(answer) => (answer.error === null ? undefined : "bad")}
          sortParam="asort"
          columns={[
            { key: "at", head: w.at(), cell: (answer) => clock(answer.at * 1e3, 0), sort: (answer) => answer.at },
            { key: "until", head: w.lasted(), cell: (answer) => (answer.until > answer.at ? ms((answer.until - answer.at) * 1e3) : ""), wide: true },
            { key: "answer", head: w.answer(), cell: (answer) => (answer.error === null ? short(answer.value ?? Number.NaN) : <span title={answer.error.slice(0, 2000)}>{answer.error.slice(0, 400)}</span>) },
          ]}
        />
      </Panel>
    </>
  );
}
