//! A box that a button opens below itself; Escape and a click beside it close it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon, type IconName } from "./icons";

export interface PopoverProps {
  icon?: IconName;
  label: string;
  /** Beside the icon; without it the label is shown. */
  text?: ComponentChildren;
  isOpen: boolean;
  onToggle: (isOpen: boolean) => void;
  /** Which edge of the button the box keeps to. */
  side?: "left" | "right";
  children: ComponentChildren;
}

export function Popover({ icon, label, text, isOpen, onToggle, side = "right", children }: PopoverProps) {
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!isOpen) return;
    const outside = (event: Event) => box.current?.contains(event.target as Node) || onToggle(false);
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      onToggle(false);
      button.current?.focus();
    };
    box.current?.querySelector<HTMLElement>(".popover input, .popover a, .popover button")?.focus();
    addEventListener("pointerdown", outside);
    addEventListener("keydown", escape, true);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("keydown", escape, true);
    };
  }, [isOpen]);
  return (
    <div ref={box} class="popover-place">
      <button ref={button} class="btn" type="button" aria-haspopup="dialog" aria-expanded={isOpen} title={label} onClick={() => onToggle(!isOpen)}>
        {icon && <Icon name={icon} />}
        <span>{text ?? label}</span>
      </button>
      {isOpen && (
        <div class={`pop popover popover-${side}`} role="dialog" aria-label={label}>
          {children}
        </div>
      )}
    </div>
  );
}
