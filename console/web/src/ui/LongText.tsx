//! A text of any length: cut where it is long, whole when asked for.
import { useState } from "preact/hooks";
import { bytes } from "../lib/format";
import { w } from "./words";

export const TEXT_CUT = 16_384;

export function LongText({ text, class: more = "" }: { text: string; class?: string }) {
  const [whole, setWhole] = useState(false);
  if (whole || text.length <= TEXT_CUT) return <span class={`long-text ${more}`}>{text}</span>;
  return (
    <span class={`long-text ${more}`}>
      {text.slice(0, TEXT_CUT)}…{" "}
      <button class="btn" type="button" onClick={() => setWhole(true)}>
        {w.more({ n: bytes(text.length) })}
      </button>
    </span>
  );
}
