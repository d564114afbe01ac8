//! Small parts that pages are built from.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Problem } from "../lib/api";
import { copy } from "../lib/copy";
import type { Data } from "../lib/data";
import { Icon, type IconName } from "./icons";
import { w } from "./words";

/** A box with a head. */
export function Panel({ title, actions, children, class: more = "" }: { title?: ComponentChildren; actions?: ComponentChildren; children: ComponentChildren; class?: string }) {
  return (
    <section class={`panel ${more}`}>
      {(title || actions) && (
        <header class="panel-head">
          <h2>{title}</h2>
          <div class="panel-actions">{actions}</div>
        </header>
      )}
      <div class="panel-body">{children}</div>
    </section>
  );
}

/** What went wrong, and what would be right. */
export function ProblemBox({ problem, retry }: { problem: Problem; retry?: () => void }) {
  const titles: Record<number, () => string> = { 0: w.unreachable, 403: w.forbidden, 429: w.busy, 503: w.busy };
  return (
    <div class="problem" role="alert">
      <strong>{(titles[problem.status] ?? w.failed)()}</strong>
      {problem.parameter && <code>{problem.parameter}</code>}
      <p>{problem.detail}</p>
      {retry && (
        <button class="btn" onClick={retry}>
          {w.retry()}
        </button>
      )}
    </div>
  );
}

/** Shows an answer, or why there is none. */
export function Show<T>({ of, children, empty }: { of: Data<T>; children: (data: T) => ComponentChildren; empty?: ComponentChildren }) {
  const { data, problem, loading, reload } = of;
  if (data === undefined) {
    if (problem) return <ProblemBox problem={problem} retry={reload} />;
    return loading ? <div class="loading">{w.loading()}</div> : <>{empty}</>;
  }
  return (
    <>
      {problem && <ProblemBox problem={problem} retry={reload} />}
      {children(data)}
    </>
  );
}

export function Empty({ children, action }: { children?: ComponentChildren; action?: ComponentChildren }) {
  return (
    <div class="empty">
      <p>{children ?? w.nothing()}</p>
      {action}
    </div>
  );
}

/** A word of state: `ok`, `warn`, `bad`, `info`, `idle` give its colour; the word says it too. */
export function Badge({ tone, children, title }: { tone: "ok" | "warn" | "bad" | "info" | "idle"; children: ComponentChildren; title?: string }) {
  return (
    <span class={`badge badge-${tone}`} title={title}>
      {children}
    </span>
  );
}

/** A number with its name. */
export function Stat({ label, value, note, tone, href }: { label: string; value: ComponentChildren; note?: ComponentChildren; tone?: "ok" | "warn" | "bad"; href?: string }) {
  const inside = (
    <>
      <span class="stat-label">{label}</span>
      <span class={`stat-value ${tone ? `tone-${tone}` : ""}`}>{value}</span>
      {note && <span class="stat-note">{note}</span>}
    </>
  );
  return href ? (
    <a class="stat" href={href}>
      {inside}
    </a>
  ) : (
    <div class="stat">{inside}</div>
  );
}

export function IconButton({ icon, label, onClick, pressed, disabled }: { icon: IconName; label: string; onClick: () => void; pressed?: boolean; disabled?: boolean }) {
  return (
    <button class="btn btn-icon" type="button" aria-label={label} title={label} aria-pressed={pressed} disabled={disabled} onClick={onClick}>
      <Icon name={icon} />
    </button>
  );
}

/** Puts a text on the clipboard, and says whether it is there. */
export function CopyButton({ text, icon = "copy", label = w.copy() }: { text: string; icon?: IconName; label?: string }) {
  const [done, setDone] = useState<boolean>();
  const run = async () => {
    setDone(await copy(text));
    setTimeout(() => setDone(undefined), 1500);
  };
  return <IconButton icon={icon} label={done === undefined ? label : done ? w.copied() : w.copy_failed()} onClick={run} pressed={done} />;
}

/** Values over time, small. */
export function Sparkline({ values, color = "s1", label, width = 96, height = 22, most: whole }: { values: (number | null)[]; color?: string; label: string; width?: number; height?: number; most?: number }) {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  const most = whole ?? (Math.max(...known, 0) || 1);
  const x = (at: number) => (at / Math.max(values.length - 1, 1)) * (width - 2) + 1;
  const y = (value: number) => height - 2 - (value / most) * (height - 4);
  let path = "";
  values.forEach((value, at) => {
    if (value === null || !Number.isFinite(value)) return;
    const isOn = at > 0 && values[at - 1] !== null;
    path += `${isOn ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return (
    <svg class="sparkline" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      <path d={path} style={{ stroke: `var(--${color})` }} />
    </svg>
  );
}

/** Parts of a whole as a bar; `parts` sum to at most 1. */
export function Shares({ parts, label }: { parts: { share: number; color: string; label: string }[]; label: string }) {
  return (
    <div class="shares" role="img" aria-label={label}>
      {parts.map((part) => (
        <i key={part.label} title={part.label} style={{ width: `${Math.max(0, Math.min(1, part.share)) * 100}%`, background: `var(--${part.color})` }} />
      ))}
    </div>
  );
}

/** Tabs that lie in the address: give links. */
export function Tabs({ tabs, current, label }: { tabs: { key: string; label: ComponentChildren; href: string }[]; current: string; label: string }) {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map((tab) => (
        <a key={tab.key} href={tab.href} aria-current={tab.key === current ? "page" : undefined}>
          {tab.label}
        </a>
      ))}
    </nav>
  );
}

/** A dialog above the page; Escape and a click beside it close it. */
export function Dialog({ title, onClose, children, wide }: { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const isPressed = useRef(false);
  useEffect(() => {
    const shown = dialog.current;
    if (shown && !shown.open) shown.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      class={wide ? "dialog dialog-wide" : "dialog"}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onPointerDown={(event) => {
        isPressed.current = event.target === dialog.current;
      }}
      // A selection that ends beside the dialog began within it.
      onClick={(event) => isPressed.current && event.target === dialog.current && onClose()}
    >
      <div class="dialog-inside">
        <header class="panel-head">
          <h2>{title}</h2>
          <IconButton icon="close" label={w.close()} onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}
