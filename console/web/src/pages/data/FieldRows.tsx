//! Columns of the dataset, and what each is taken from.
import { Icon } from "../../ui/icons";
import { IconButton } from "../../ui/parts";
import { TYPES, type DraftField } from "./draft";
import type { FormProps } from "./DraftForm";
import { w } from "./words";

/** Fields that are often wanted, to choose from. */
const KNOWN = {
  spans: [
    "trace_id", "span_id", "timestamp", "duration_ms", "service", "interface", "name", "kind", "status", "tenant",
    "attributes.gen_ai.input.messages", "attributes.gen_ai.output.messages", "attributes.gen_ai.request.model",
    "attributes.gen_ai.usage.input_tokens", "attributes.gen_ai.usage.output_tokens", "attributes", "resource", "events",
  ],
  logs: ["timestamp", "service", "severity", "body", "trace_id", "span_id", "tenant", "attributes", "resource"],
};

export function FieldRows({ draft, change }: FormProps) {
  const { fields, source } = draft;
  const put = (at: number, changes: Partial<DraftField>) =>
    change({ fields: fields.map((field, place) => (place === at ? { ...field, ...changes } : field)) });
  return (
    <div class="stack">
      <datalist id="data-known">
        {KNOWN[source].map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      {fields.map((field, at) => (
        <div key={at} class="data-field">
          <input class="input" aria-label={w.field_name()} placeholder={w.field_name()} value={field.name} spellcheck={false} onInput={(event) => put(at, { name: event.currentTarget.value })} />
          <input class="input mono" aria-label={w.field_from()} placeholder={w.field_from()} list="data-known" value={field.from} spellcheck={false} onInput={(event) => put(at, { from: event.currentTarget.value })} />
          <select class="select" aria-label={w.field_type()} value={field.type} onChange={(event) => put(at, { type: event.currentTarget.value as DraftField["type"] })}>
            {TYPES.map((type) => (
              <option key={type} value={type}>
                {type || w.type_own()}
              </option>
            ))}
          </select>
          <IconButton icon="minus" label={`${w.remove()} ${field.name}`} onClick={() => change({ fields: fields.filter((_, place) => place !== at) })} />
        </div>
      ))}
      <div>
        <button class="btn" type="button" onClick={() => change({ fields: [...fields, { name: "", from: "", type: "" }] })}>
          <Icon name="plus" />
          {w.field_add()}
        </button>
      </div>
    </div>
  );
}
