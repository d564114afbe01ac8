//! Alerts as bars on a time axis, one line each.
import { useRef, useState } from "preact/hooks";
import { clock, zoom } from "../../lib/time";
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

/** `13:30`; the day where it begins. */
function tickText(at: number): string {
  const text = clock(at, 0);
  const minute = text.slice(11, 16);
  return minute === "00:00" ? text.slice(5, 10) : minute;
}

export function Timeline({ courses, from, to }: { courses: Course[]; from: number; to: number }) {
  const place = (at: number) => ((at - from) / (to - from)) * 100;
  const axis = ticks(from, to);
  const { line, drag, handlers } = useDrag((begin, end) => zoom(from + begin * (to - from), from + end * (to - from)));
  return (
    <div class="al-timeline" {...handlers}>
      <div class="al-lines" ref={line} aria-hidden="true">
        {drag && <i class="al-drag" style={{ left: `${drag[0] * 100}%`, width: `${(drag[1] - drag[0]) * 100}%` }} />}
      </div>
      <div class="al-axis" aria-hidden="true">
        {axis.map((at) => (
          <span key={at} style={{ left: `${place(at)}%` }}>
            {tickText(at)}
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

/** Parts of the axis, 0 to 1, that a drag goes over. */
type Span = [begin: number, end: number];

/** Less than this part of the axis is a click. */
const LEAST = 0.01;

function useDrag(done: (begin: number, end: number) => void) {
  const line = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<Span | null>(null);
  const start = useRef<number | null>(null);
  const at = (event: PointerEvent) => {
    const box = line.current?.getBoundingClientRect();
    return box ? (event.clientX - box.left) / box.width : 0;
  };
  const span = (event: PointerEvent): Span => {
    const [a, b] = [start.current ?? 0, Math.max(0, Math.min(1, at(event)))];
    return a < b ? [a, b] : [b, a];
  };
  const handlers = {
    onPointerDown: (event: PointerEvent) => {
      const begin = at(event);
      start.current = event.button === 0 && event.pointerType === "mouse" && begin >= 0 && begin <= 1 ? begin : null;
    },
    onPointerMove: (event: PointerEvent) => start.current !== null && setDrag(span(event)),
    onPointerUp: (event: PointerEvent) => {
      if (start.current === null) return;
      const [begin, end] = span(event);
      start.current = null;
      setDrag(null);
      if (end - begin > LEAST) done(begin, end);
    },
    onPointerLeave: () => {
      start.current = null;
      setDrag(null);
    },
  };
  return { line, drag, handlers };
}

function CourseRow({ course, place }: { course: Course; place: (at: number) => number }) {
  const name = course.labels.alertname ?? "";
  return (
    <div class="al-course">
      <a class="al-course-name ellipsis" href={here({ alert: course.id })} title={`${name} ${telling(course.labels)} · ${w.firings({ n: course.firings })}`.slice(0, 1000)}>
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
