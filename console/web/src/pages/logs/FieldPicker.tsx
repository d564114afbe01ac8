//! A list of fields to choose from.
import { useState } from "preact/hooks";
import { short } from "../../lib/format";
import { fieldSuggestions } from "./completion";
import { useFields } from "./useSuggestions";
import { w } from "./words";

/** Most fields in the list; what is written above it narrows it. */
const MOST = 100;

export function FieldPicker({ chosen, onPick }: { chosen: string[]; onPick: (name: string) => void }) {
  const [text, setText] = useState("");
  const fields = useFields(true);
  const found = fieldSuggestions(fields, text.trim(), MOST).map((one) => ({ name: one.label, count: one.count ?? 0 }));
  const shown = text ? found : [...chosen.filter((name) => !found.some((one) => one.name === name)).map((name) => ({ name, count: 0 })), ...found];
  return (
    <div class="stack log-picker">
      <input class="input" aria-label={w.columns_find()} placeholder={w.columns_find()} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      <div class="log-picker-list" role="group">
        {shown.length === 0 && <span class="faint">{w.columns_none()}</span>}
        {shown.map(({ name, count }) => (
          <label key={name} class="menu-item log-picker-item">
            <input type="checkbox" checked={chosen.includes(name)} onChange={() => onPick(name)} />
            <span class="ellipsis mono" title={name}>
              {name}
            </span>
            <span class="faint">{count ? short(count) : ""}</span>
          </label>
        ))}
      </div>
    </div>
  );
}
