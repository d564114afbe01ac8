//! Alerts as bars on a time axis, one line each.
import { clock, shortClock } from "../../lib/time";
import { here } from "../../lib/url";
import { VirtualList } from "../../ui/Virtual";
import type { Course, Stretch } from "./intervals";
import { telling } from "./intervals";
import { ticks } from "./ticks";
import { w } from "./words";

const ROW = 26;
const MOST_HEIGHT = 340;
/** Stretches of one alert that are drawn by themselves. */
const MOST_STRETCHES = 400;

export function Timeline({ courses, from, to }: { courses: Course[]; from: number; to: number }) {
  const place = (at: number) => ((at - from) / (to - from)) * 100;
  const axis = ticks(from, to);
  return (
    <div class="al-timeline">
      <div class="al-axis" aria-hidden="true">
        {axis.map((at) => (
          <span key={at} style={{ left: `${place(at)}%` }}>
            {shortClock(at).slice(0, -3)}
          </span>
        ))}
      </div>
      <div style={{ height: `${Math.min(MOST_HEIGHT, courses.length * ROW)}px`, display: "flex" }}>
        <VirtualList class="al-courses" label={w.timeline()} count={courses.length} estimate={ROW} keyOf={(index) => courses[index]?.id ?? index}>
          {(index) => {
            const course = courses[index];
            return course && <CourseRow course={course} place={place} />;
          }}
        </VirtualList>
      </div>
    </div>
  );
}

function CourseRow({ course, place }: { course: Course; place: (at: number) => number }) {
  const name = course.labels.alertname ?? "";
  return (
    <div class="al-course">
      <a class="al-course-name ellipsis" href={here({ tab: null, alert: course.id, state: null, q: null })} title={`${name} ${telling(course.labels)} · ${w.firings({ n: course.firings })}`.slice(0, 1000)}>
        <b>{name.slice(0, 80)}</b> <span class="faint">{telling(course.labels).slice(0, 160)}</span>
      </a>
      <div class="al-course-line">
        {course.stretches.slice(-MOST_STRETCHES).map((stretch) => (
          <Bar key={`${stretch.state} ${stretch.from}`} stretch={stretch} place={place} />
        ))}
      </div>
    </div>
  );
}

function Bar({ stretch: { state, from, to }, place }: { stretch: Stretch; place: (at: number) => number }) {
  const about = w.stretch({ state: w[state](), from: clock(from, 0), to: clock(to, 0) });
  return <i class={`al-bar al-bar-${state}`} role="img" aria-label={about} title={about} style={{ left: `${place(from)}%`, width: `max(2px, ${place(to) - place(from)}%)` }} />;
}
