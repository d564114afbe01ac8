//! The stretch of time: a list of last minutes to days, or two times; and how often it is loaded again.
import { useEffect, useState } from "preact/hooks";
import { asked, isLive, parseTime, range, rfc3339, shortClock, tick, usual } from "../lib/time";
import { param, set } from "../lib/url";
import { IconButton } from "../ui/parts";
import { Popover } from "../ui/Popover";
import { w } from "./words";

const LAST = ["5m", "15m", "30m", "1h", "3h", "6h", "12h", "1d", "2d", "7d", "30d"];
const EVERY = [0, 2, 5, 10, 30, 60];

/** `15m` in words. */
function lengthText(length: string): string {
  const n = Number.parseInt(length, 10);
  const unit = { m: w.minutes, h: w.hours, d: w.days }[length.at(-1) as "m" | "h" | "d"];
  return unit ? unit({ n }) : length;
}

function label(): string {
  if (usual.value && !param("start")) return usual.value.label;
  const { start, end } = asked.value;
  const last = /^now-(\d+[smhdw])$/.exec(start);
  if (last?.[1] && end === "now") return w.last({ n: lengthText(last[1]) });
  return `${shortClock(range.value.from)} – ${end === "now" ? w.now() : shortClock(range.value.to)}`;
}

/** Local time as people write it, or as it stands where it is relative. */
function shown(text: string): string {
  if (text.startsWith("now")) return text;
  const at = parseTime(text, Date.now());
  if (at === null) return text;
  const local = new Date(at - new Date(at).getTimezoneOffset() * 6e4).toISOString();
  return local.slice(0, 19).replace("T", " ");
}

function read(text: string): string | null {
  const written = text.trim();
  if (written.startsWith("now")) return parseTime(written, Date.now()) === null ? null : written;
  const at = parseTime(written.replace(" ", "T"), Date.now());
  return at === null ? null : rfc3339(at);
}

export function TimePicker({ refresh: usual }: { refresh: number }) {
  const [open, setOpen] = useState(false);
  const { start, end } = asked.value;
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const [wrong, setWrong] = useState(false);
  const refresh = Number(param("refresh", String(usual)));
  useEffect(() => {
    if (!open) return;
    setFrom(shown(start));
    setTo(shown(end));
    setWrong(false);
  }, [open, start, end]);
  useEffect(() => {
    if (!refresh || !isLive.value) return;
    const timer = setInterval(() => document.hidden || tick(), refresh * 1e3);
    return () => clearInterval(timer);
  }, [refresh, isLive.value]);
  const take = (start: string, end: string) => {
    set({ start, end: end === "now" ? null : end });
    tick();
    setOpen(false);
  };
  const apply = (event: Event) => {
    event.preventDefault();
    const [start, end] = [read(from), read(to || "now")];
    if (start && end) take(start, end);
    else setWrong(true);
  };
  const shift = (by: number) => {
    const { from, to } = range.value;
    take(rfc3339(from + by * (to - from)), rfc3339(to + by * (to - from)));
  };
  return (
    <div class="time-picker">
      <IconButton icon="right" label={w.earlier()} onClick={() => shift(-0.5)} />
      <Popover icon="clock" label={w.time()} text={label()} isOpen={open} onToggle={setOpen}>
        <div class="time-pop">
          <div class="time-list">
            {LAST.map((length) => (
              <button key={length} type="button" class="menu-item" aria-pressed={start === `now-${length}` && end === "now"} onClick={() => take(`now-${length}`, "now")}>
                {w.last({ n: lengthText(length) })}
              </button>
            ))}
          </div>
          <form class="time-form" onSubmit={apply}>
            <label>
              {w.from()}
              <input class="input" value={from} onInput={(event) => setFrom(event.currentTarget.value)} spellcheck={false} />
            </label>
            <label>
              {w.to()}
              <input class="input" value={to} onInput={(event) => setTo(event.currentTarget.value)} spellcheck={false} />
            </label>
            <small class={wrong ? "tone-bad" : "faint"} role={wrong ? "alert" : undefined}>
              {wrong ? w.time_wrong() : w.time_hint()}
            </small>
            <button class="btn btn-primary" type="submit">
              {w.apply()}
            </button>
          </form>
        </div>
      </Popover>
      <IconButton icon="right" label={w.later()} onClick={() => shift(0.5)} />
      <select
        class="select"
        aria-label={w.refresh()}
        value={String(refresh)}
        onChange={(event) => set({ refresh: event.currentTarget.value === String(usual) ? null : event.currentTarget.value }, true)}
      >
        {[...new Set([...EVERY, refresh])].sort((a, b) => a - b).map((every) => (
          <option key={every} value={String(every)}>
            {every ? w.refresh_every({ n: every }) : w.refresh_off()}
          </option>
        ))}
      </select>
      <button class="btn btn-icon" type="button" aria-label={w.refresh_now()} title={w.refresh_now()} onClick={tick}>
        ↻
      </button>
    </div>
  );
}
