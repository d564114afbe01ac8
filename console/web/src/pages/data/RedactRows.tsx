//! What is taken out of the columns before anything is written.
import { Icon } from "../../ui/icons";
import { IconButton } from "../../ui/parts";
import { METHODS, PATTERNS, type DraftRedaction } from "./draft";
import type { FormProps } from "./DraftForm";
import { w } from "./words";

export function RedactRows({ draft, change }: FormProps) {
  const { redact } = draft;
  const put = (at: number, changes: Partial<DraftRedaction>) =>
    change({ redact: redact.map((rule, place) => (place === at ? { ...rule, ...changes } : rule)) });
  return (
    <div class="stack">
      {redact.length === 0 && <p class="tone-warn">{w.redact_none()}</p>}
      {redact.map((rule, at) => (
        <fieldset key={at} class="data-rule">
          <div class="data-field data-field-rule">
            <input class="input" aria-label={w.redact_field()} placeholder={w.redact_field()} value={rule.field} spellcheck={false} onInput={(event) => put(at, { field: event.currentTarget.value })} />
            <select class="select" aria-label={w.redact_method()} value={rule.method} onChange={(event) => put(at, { method: event.currentTarget.value as DraftRedaction["method"] })}>
              {METHODS.map((method) => (
                <option key={method} value={method}>
                  {w[method]()}
                </option>
              ))}
            </select>
            <IconButton icon="minus" label={`${w.remove()} ${rule.field}`} onClick={() => change({ redact: redact.filter((_, place) => place !== at) })} />
          </div>
          <div class="data-patterns">
            {PATTERNS.map((pattern) => {
              const isOn = rule.patterns.includes(pattern);
              const next = isOn ? rule.patterns.filter((one) => one !== pattern) : [...rule.patterns, pattern];
              return (
                <label key={pattern}>
                  <input type="checkbox" checked={isOn} onChange={() => put(at, { patterns: next })} />
                  {w[pattern]()}
                </label>
              );
            })}
          </div>
          <textarea
            class="textarea data-wide"
            rows={rule.expressions ? 2 : 1}
            aria-label={w.expressions()}
            placeholder={w.expressions()}
            value={rule.expressions}
            spellcheck={false}
            onInput={(event) => put(at, { expressions: event.currentTarget.value })}
          />
          {!rule.patterns.length && !rule.expressions.trim() && <small class="faint">{w.redact_whole()}</small>}
        </fieldset>
      ))}
      <div>
        <button class="btn" type="button" onClick={() => change({ redact: [...redact, { field: "", method: "mask", patterns: [], expressions: "" }] })}>
          <Icon name="plus" />
          {w.redact_add()}
        </button>
      </div>
    </div>
  );
}
