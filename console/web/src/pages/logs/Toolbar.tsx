//! What is shown, and what may be done with it.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useKey } from "../../lib/keys";
import { set } from "../../lib/url";
import { Icon } from "../../ui/icons";
import { Popover } from "../../ui/Popover";
import { Export } from "./Export";
import { FieldPicker } from "./FieldPicker";
import { Saved } from "./Saved";
import { columnsWith, type View } from "./view";
import { w } from "./words";

type Box = "columns" | "export" | "saved";

export interface ToolbarProps {
  view: View;
  lines: number | undefined;
  hasFacets: boolean;
  onFacets: () => void;
  onLive: () => void;
  children: ComponentChildren;
}

export function Toolbar({ view, lines, hasFacets, onFacets, onLive, children }: ToolbarProps) {
  const [open, setOpen] = useState<Box | null>(null);
  const { columns, query, isLive } = view;
  const box = (name: Box) => ({ isOpen: open === name, onToggle: (isOpen: boolean) => setOpen(isOpen ? name : null) });
  useKey("t", w.key_live, onLive);
  useKey("e", w.key_export, () => setOpen("export"));
  useKey("c", w.key_columns, () => setOpen("columns"));
  useKey("f", w.key_facets, onFacets);
  return (
    <div class="log-toolbar">
      <button class="btn btn-icon" type="button" aria-pressed={hasFacets} aria-label={hasFacets ? w.facets_hide() : w.facets_show()} title={hasFacets ? w.facets_hide() : w.facets_show()} onClick={onFacets}>
        <Icon name="menu" />
      </button>
      <div class="log-status" role="status">
        {children}
      </div>
      <button class="btn" type="button" aria-pressed={isLive} title={isLive ? w.live_stop() : w.live_about()} onClick={onLive}>
        <Icon name="play" />
        <span>{w.live()}</span>
      </button>
      <Popover icon="columns" label={w.columns()} {...box("columns")}>
        <FieldPicker chosen={columns} onPick={(name) => set({ columns: columnsWith(columns, name) }, true)} />
      </Popover>
      <Popover icon="star" label={w.saved()} {...box("saved")}>
        <Saved />
      </Popover>
      <Popover icon="download" label={w.export()} {...box("export")}>
        <Export query={query} columns={columns} lines={lines} />
      </Popover>
    </div>
  );
}
