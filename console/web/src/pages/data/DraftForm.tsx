//! The form of a capture.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { Panel } from "../../ui/parts";
import { FORMATS, twice, type Draft, type Part } from "./draft";
import { FieldRows } from "./FieldRows";
import { RedactRows } from "./RedactRows";
import { w } from "./words";

export interface FormProps {
  draft: Draft;
  change: (changes: Partial<Draft>) => void;
}

interface Told {
  /** The part that an error is about, and the error. */
  part: Part | null;
  detail: string;
}

export function DraftForm({ draft, change, part, detail, isNamed }: FormProps & Told & { isNamed: boolean }) {
  const told = { part, detail };
  return (
    <>
      <Panel>
        <div class="form">
          <Text of="name" {...told} label={w.name()} value={draft.name} hint={w.name_hint()} disabled={isNamed} onInput={(name) => change({ name })} />
          <Choice label={w.source()} value={draft.source} onChange={(source) => change({ source })} options={[["spans", w.spans()], ["logs", w.logs()]]} />
          <Text of="query" {...told} label={w.query()} value={draft.query} hint={w.query_hint()} about={w.query_about()} mono data-query onInput={(query) => change({ query })} />
          <Text of="tenants" {...told} label={w.tenants()} value={draft.tenants} hint={w.tenants_hint()} about={w.tenants_about()} onInput={(tenants) => change({ tenants })} />
        </div>
      </Panel>
      <Panel title={w.fields()}>
        <FieldRows draft={draft} change={change} />
        <Fault of="fields" {...told} />
        {twice(draft).map((name) => (
          <p key={name} class="tone-bad" role="alert">
            {w.twice({ name })}
          </p>
        ))}
      </Panel>
      <Panel title={w.redact()}>
        <RedactRows draft={draft} change={change} />
        <Fault of="redact" {...told} />
      </Panel>
      <Panel title={w.sample()}>
        <div class="form">
          <label for="sample-ratio">{w.ratio()}</label>
          <div class="row">
            <input id="sample-ratio" class="input data-number" inputmode="decimal" value={draft.ratio} placeholder={w.ratio_hint()} onInput={(event) => change({ ratio: event.currentTarget.value })} />
            <select class="select" aria-label={w.ratio()} value={draft.by} onChange={(event) => change({ by: event.currentTarget.value as Draft["by"] })}>
              <option value="trace">{w.by_trace()}</option>
              <option value="row">{w.by_row()}</option>
            </select>
          </div>
          <Text label={w.rows_per_minute()} value={draft.rowsPerMinute} short onInput={(rowsPerMinute) => change({ rowsPerMinute })} />
          {draft.source === "spans" && <Text label={w.slower_than()} value={draft.slowerThan} hint={w.slower_hint()} short onInput={(slowerThan) => change({ slowerThan })} />}
          <Text label={w.while_firing()} value={draft.whileFiring} onInput={(whileFiring) => change({ whileFiring })} />
          <span />
          <label class="row">
            <input type="checkbox" checked={draft.errorsOnly} onChange={(event) => change({ errorsOnly: event.currentTarget.checked })} />
            {w.errors_only()}
          </label>
        </div>
        <Fault of="sample" {...told} />
      </Panel>
      <Panel title={w.output()}>
        <div class="form">
          <Choice label={w.format()} value={draft.format} onChange={(format) => change({ format })} options={FORMATS.map((format) => [format, w[format]()])} />
          <span>{w.roll()}</span>
          <div class="row">
            {([["rollRows", w.roll_rows(), "100000"], ["rollSize", w.roll_size(), "128MB"], ["rollAge", w.roll_age(), "10m"]] as const).map(([key, label, usual]) => (
              <label key={key} class="row">
                <input class="input data-number" value={draft[key]} placeholder={usual} onInput={(event) => change({ [key]: event.currentTarget.value })} />
                <span class="faint">{label}</span>
              </label>
            ))}
          </div>
          <Text of="keep" {...told} label={w.keep()} value={draft.keep} hint={w.keep_hint()} short onInput={(keep) => change({ keep })} />
          <Choice label={w.from()} value={draft.from} onChange={(from) => change({ from })} options={[["now", w.from_now()], ["beginning", w.from_beginning()]]} />
          <Choice label={w.when_full()} value={draft.whenFull} onChange={(whenFull) => change({ whenFull })} options={[["wait", w.wait()], ["skip", w.skip()]]} />
          <Text of="join" {...told} label={w.join()} value={draft.join} hint={w.join_hint()} short onInput={(join) => change({ join })} />
        </div>
        <Fault of="format" {...told} />
        <Fault of="roll" {...told} />
      </Panel>
    </>
  );
}

/** What the API says of a part. */
function Fault({ of, part, detail }: Told & { of: Part }) {
  return (
    <div id={`part-${of}`}>
      {part === of && (
        <p class="tone-bad" role="alert">
          {detail}
        </p>
      )}
    </div>
  );
}

interface TextProps extends Partial<Told> {
  of?: Part;
  label: string;
  value: string;
  hint?: string;
  about?: ComponentChildren;
  mono?: boolean;
  short?: boolean;
  disabled?: boolean;
  "data-query"?: boolean;
  onInput: (value: string) => void;
}

function Text({ of, part = null, detail = "", label, value, hint, about, mono, short, disabled, onInput, ...more }: TextProps) {
  const id = useId();
  const isWrong = of !== undefined && part === of;
  return (
    <>
      <label for={id}>{label}</label>
      <div>
        <input
          id={id}
          class={`input ${short ? "data-number" : "data-wide"} ${mono ? "mono" : ""}`}
          value={value}
          placeholder={hint}
          disabled={disabled}
          spellcheck={false}
          autocomplete="off"
          aria-invalid={isWrong}
          onInput={(event) => onInput(event.currentTarget.value)}
          {...(more["data-query"] ? { "data-query": true } : {})}
        />
        {about && !isWrong && <small class="faint data-about">{about}</small>}
        {of && <Fault of={of} part={part} detail={detail} />}
      </div>
    </>
  );
}

function Choice<V extends string>({ label, value, options, onChange }: { label: string; value: V; options: [V, string][]; onChange: (value: V) => void }) {
  const id = useId();
  return (
    <>
      <label for={id}>{label}</label>
      <div>
        <select id={id} class="select" value={value} onChange={(event) => onChange(event.currentTarget.value as V)}>
          {options.map(([key, text]) => (
            <option key={key} value={key}>
              {text}
            </option>
          ))}
        </select>
      </div>
    </>
  );
}
