//! For an id of which nothing is known: why that may be, and a box for another.
import { useState } from "preact/hooks";
import type { Problem } from "../../lib/api";
import { tick } from "../../lib/time";
import { go, href } from "../../lib/url";
import { traceIdIn } from "./ids";
import { w } from "./words";

export function Unknown({ id, problem }: { id: string; problem?: Problem }) {
  const [text, setText] = useState(id.slice(0, 200));
  const [isWrong, setWrong] = useState(false);
  const open = (event: Event) => {
    event.preventDefault();
    const found = traceIdIn(text);
    setWrong(!found);
    if (!found) return;
    if (found === id) tick();
    else go(href(`/traces/${found}`));
  };
  const isNoId = problem?.status === 400;
  return (
    <div class="trace-unknown">
      <h2>{isNoId ? w.no_id() : w.unknown()}</h2>
      {!isNoId && <p class="faint">{w.unknown_why()}</p>}
      <form class="row" onSubmit={open}>
        <input
          class="input mono grow"
          data-query
          aria-label={w.paste_id()}
          placeholder={w.paste_id()}
          value={text}
          spellcheck={false}
          autocomplete="off"
          aria-invalid={isWrong}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button class="btn btn-primary" type="submit">
          {w.open()}
        </button>
        <a class="btn" href={href("/traces")}>
          {w.back()}
        </a>
      </form>
      {isWrong && (
        <p class="tone-bad" role="alert">
          {w.no_id()}
        </p>
      )}
    </div>
  );
}
