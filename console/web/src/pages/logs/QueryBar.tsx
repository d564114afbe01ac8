//! The query: written with suggestions, applied on Enter.
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Problem } from "../../lib/api";
import { count } from "../../lib/format";
import { param, set } from "../../lib/url";
import { Icon } from "../../ui/icons";
import { IconButton } from "../../ui/parts";
import { taken, target, type Suggestion } from "./completion";
import { errorAt } from "./query";
import { remember } from "./kept";
import { useSuggestions } from "./useSuggestions";
import { w } from "./words";

export function QueryBar({ problem }: { problem: Problem | undefined }) {
  const applied = param("query");
  const [text, setText] = useState(applied);
  const [caret, setCaret] = useState(applied.length);
  const [isOpen, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const id = useId();
  const at = target(text, caret);
  const suggestions = useSuggestions(isOpen, text, at);
  useEffect(() => {
    setText(applied);
    setCaret(applied.length);
  }, [applied]);
  useEffect(() => setChosen(-1), [text, caret]);
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const apply = (query: string) => {
    setOpen(false);
    remember(query);
    set({ query: query.trim() || null, line: null, at: null });
  };
  const take = (suggestion: Suggestion) => {
    const next = taken(text, at, suggestion);
    setText(next.query);
    setCaret(next.caret);
    if (suggestion.kind === "recent") return apply(next.query);
    setOpen(true);
    const box = input.current;
    if (!box) return;
    // At once, not with the next drawing: the next key may come before it.
    box.value = next.query;
    box.focus();
    box.setSelectionRange(next.caret, next.caret);
  };
  const key = (event: KeyboardEvent) => {
    // Keys of an input method choose among its candidates.
    if (event.isComposing) return;
    const one = suggestions[chosen];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) return setOpen(true);
      const by = event.key === "ArrowDown" ? 1 : -1;
      const size = suggestions.length + 1;
      setChosen(((chosen + 1 + by + size) % size) - 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (isOpen && one) take(one);
      else apply(text);
    } else if (event.key === "Tab" && isOpen && !event.shiftKey && (one ?? (at.prefix && suggestions[0]))) {
      event.preventDefault();
      const first = one ?? suggestions[0];
      if (first) take(first);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (isOpen) setOpen(false);
      else input.current?.blur();
    }
  };
  const moved = () => setCaret(input.current?.selectionStart ?? text.length);
  const isWrong = problem?.parameter === "query" && text === applied;
  return (
    <div class="log-query">
      <Icon name="search" />
      <input
        ref={input}
        data-query
        class="log-query-input mono"
        type="text"
        role="combobox"
        aria-label={w.query()}
        aria-expanded={isOpen && suggestions.length > 0}
        aria-controls={id}
        aria-autocomplete="list"
        aria-activedescendant={suggestions[chosen] ? `${id}-${chosen}` : undefined}
        aria-invalid={isWrong}
        placeholder={w.query_hint()}
        value={text}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        maxLength={8000}
        onInput={(event) => {
          setText(event.currentTarget.value);
          moved();
          setOpen(true);
        }}
        onKeyDown={key}
        onKeyUp={moved}
        onClick={() => {
          moved();
          setOpen(true);
        }}
        onBlur={() => setOpen(false)}
      />
      {text && (
        <button class="log-query-clear" type="button" aria-label={w.clear()} title={w.clear()} onClick={() => apply("")}>
          <Icon name="close" size={12} />
        </button>
      )}
      <IconButton icon="right" label={w.search()} onClick={() => apply(text)} />
      {isOpen && suggestions.length > 0 && (
        <div class="pop log-suggestions">
          <ul ref={list} id={id} role="listbox" aria-label={w.suggestions()}>
            {suggestions.map((one, index) => (
              <li
                key={`${one.kind} ${one.label}`}
                id={`${id}-${index}`}
                role="option"
                class={`menu-item log-suggestion log-suggestion-${one.kind}`}
                aria-selected={index === chosen}
                onMouseDown={(event) => {
                  event.preventDefault();
                  take(one);
                }}
              >
                <Icon name={one.kind === "recent" ? "clock" : one.kind === "field" ? "columns" : "right"} size={12} />
                <span class="ellipsis mono">{one.label}</span>
                {one.count !== undefined && <span class="faint">{count(one.count)}</span>}
              </li>
            ))}
          </ul>
          <small class="faint">{w.suggest_keys()}</small>
        </div>
      )}
    </div>
  );
}

/** An error of the query, at the character that it names. */
export function QueryProblem({ query, problem }: { query: string; problem: Problem }) {
  const at = errorAt(query, problem.detail);
  const [from, to] = at === null ? [0, 0] : [Math.max(0, at - 200), at + 200];
  return (
    <div class="problem" role="alert">
      <strong>{w.query_wrong()}</strong>
      {at !== null && (
        <pre class="log-query-error">
          {query.slice(from, at)}
          <mark>{[...query.slice(at, to)][0] ?? " "}</mark>
          {[...query.slice(at, to)].slice(1).join("")}
        </pre>
      )}
      <p>{problem.detail}</p>
    </div>
  );
}
