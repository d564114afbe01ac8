//! Dark and light: by the system, or as the visitor chose.
import { effect, signal } from "@preact/signals";

export type Theme = "dark" | "light";

const KEPT = "weir.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const chosen = signal(localStorage.getItem(KEPT) as Theme | null);

export const theme = signal<Theme>("light");

function decide() {
  theme.value = chosen.value ?? (system.matches ? "dark" : "light");
}

system.addEventListener("change", decide);
effect(decide);
effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

export function toggleTheme() {
  chosen.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(KEPT, chosen.value);
}

/** The value of a colour of the theme, for what draws by itself. Reads a signal. */
export function color(name: string): string {
  void theme.value;
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Colours of series, in their order; told apart by people who see few colours, on both grounds. */
export const SERIES = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];

/** The name of the colour of a severity. */
export function severityColor(severity: string): string {
  const level = severity.toLowerCase().replace(/\d+$/, "");
  return ["trace", "debug", "info", "warn", "error", "fatal"].includes(level) ? `sev-${level}` : "sev-none";
}
