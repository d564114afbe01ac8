//! Above the spans: finding, folding, zooming.
import { param, set } from "../../lib/url";
import { IconButton } from "../../ui/parts";
import { w } from "./words";

interface Props {
  found: number[];
  selected: number;
  onFound: (by: number) => void;
  isZoomed: boolean;
  /** By a factor; null: the whole trace. */
  onZoom: (by: number | null) => void;
  isFolded: boolean;
  onUnfold: () => void;
}

export function Toolbar({ found, selected, onFound, isZoomed, onZoom, isFolded, onUnfold }: Props) {
  const text = param("find");
  const at = found.indexOf(selected);
  return (
    <header class="panel-head trace-tools">
      <input
        class="input trace-find"
        type="search"
        data-query
        placeholder={w.find()}
        aria-label={w.find()}
        value={text}
        spellcheck={false}
        onInput={(event) => set({ find: event.currentTarget.value }, true)}
        onKeyDown={(event) => {
          if (event.isComposing) return;
          if (event.key === "Enter") onFound(event.shiftKey ? -1 : 1);
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      {text && (
        <>
          <span class="faint nowrap" role="status">
            {!found.length ? w.found_none() : at < 0 ? w.found_all({ n: found.length }) : w.found({ at: at + 1, n: found.length })}
          </span>
          <IconButton icon="down" label={w.find_next()} onClick={() => onFound(1)} disabled={!found.length} />
        </>
      )}
      <span class="grow" />
      {isFolded && (
        <button class="btn" type="button" onClick={onUnfold}>
          {w.expand_all()}
        </button>
      )}
      {isZoomed && (
        <button class="btn" type="button" onClick={() => onZoom(null)}>
          {w.zoom_reset()}
        </button>
      )}
      <IconButton icon="minus" label={w.zoom_out()} onClick={() => onZoom(2)} disabled={!isZoomed} />
      <IconButton icon="plus" label={w.zoom_in()} onClick={() => onZoom(0.5)} />
    </header>
  );
}
