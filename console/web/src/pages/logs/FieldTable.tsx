//! Fields of a line, and what may be done with each.
import { useState } from "preact/hooks";
import { quoted } from "../../lib/lucene";
import type { Hit } from "../../lib/types/logs";
import { here, param } from "../../lib/url";
import { Icon } from "../../ui/icons";
import { CopyButton } from "../../ui/parts";
import { all } from "./fields";
import { and, isName } from "./query";
import { columnsWith, queryHref, view } from "./view";
import { w } from "./words";

/** Characters of a value before all are asked for. */
const CUT = 400;
/** Longer values are not filtered for: the query would be longer than any address. */
const MOST_FILTERED = 1000;
/** Fields in the table; what is written above it narrows it. */
const MOST = 200;

export function FieldTable({ hit }: { hit: Hit }) {
  const [text, setText] = useState("");
  const fields = all(hit);
  const wanted = text.toLowerCase();
  const found = fields.filter(([name, value]) => !wanted || name.toLowerCase().includes(wanted) || value.slice(0, CUT).toLowerCase().includes(wanted));
  return (
    <div class="stack">
      {fields.length > 20 && <input class="input" aria-label={w.fields_find()} placeholder={w.fields_find()} value={text} onInput={(event) => setText(event.currentTarget.value)} />}
      <dl class="log-fields">
        {found.slice(0, MOST).map(([name, value]) => (
          <Field key={name} name={name} value={value} />
        ))}
      </dl>
    </div>
  );
}

function Field({ name, value }: { name: string; value: string }) {
  const [isAll, setAll] = useState(false);
  const { columns } = view();
  const query = param("query");
  const clause = `${name}:${quoted(value)}`;
  const brief = value.slice(0, 40);
  const mayFilter = name !== "timestamp" && value.length <= MOST_FILTERED && isName(name);
  const isColumn = columns.includes(name);
  return (
    <div class="log-field">
      <dt title={name}>{name}</dt>
      <dd>
        <div class="log-field-value">
          {isAll ? value : value.slice(0, CUT)}
          {!isAll && value.length > CUT && (
            <button class="log-more" type="button" onClick={() => setAll(true)}>
              {w.show_all({ n: value.length })}
            </button>
          )}
        </div>
        <div class="log-field-actions">
          {mayFilter && (
            <>
              <a class="btn btn-icon btn-plain" href={queryHref(and(query, clause))} aria-label={w.filter_for({ value: brief })} title={w.filter_for({ value: brief })}>
                <Icon name="plus" size={13} />
              </a>
              <a class="btn btn-icon btn-plain" href={queryHref(and(query, `NOT ${clause}`))} aria-label={w.filter_out({ value: brief })} title={w.filter_out({ value: brief })}>
                <Icon name="minus" size={13} />
              </a>
            </>
          )}
          {name !== "timestamp" && (
            <a
              class={`btn btn-icon btn-plain ${isColumn ? "log-is-column" : ""}`}
              href={here({ columns: columnsWith(columns, name) })}
              aria-label={isColumn ? w.column_remove({ name }) : w.add_column({ name })}
              title={isColumn ? w.column_remove({ name }) : w.add_column({ name })}
            >
              <Icon name="columns" size={13} />
            </a>
          )}
          <CopyButton text={value} />
        </div>
      </dd>
    </div>
  );
}
