//! Where the page is: all state that a colleague should see lies in the address.
import { batch, computed, signal } from "@preact/signals";
import { isPage } from "./links";

export const path = signal(location.pathname);
const search = signal(location.search);

/** Parameters of the address. */
export const params = computed(() => new URLSearchParams(search.value));

/** What follows from page to page. */
const CARRIED = ["start", "end", "tenant"];

/** Changes to parameters; null takes one out. */
export type Changes = Record<string, string | null | undefined>;

function take() {
  batch(() => {
    path.value = location.pathname;
    search.value = location.search;
  });
}

addEventListener("popstate", take);

/** The address of a page with these parameters, and with what is carried from page to page. */
export function href(to: string, changes: Changes = {}): string {
  const next = new URLSearchParams();
  for (const name of CARRIED) {
    const value = params.value.get(name);
    if (value) next.set(name, value);
  }
  return join(to, next, changes);
}

/** The address of this page with these parameters changed. */
export function here(changes: Changes): string {
  return join(path.value, new URLSearchParams(params.value), changes);
}

function join(to: string, next: URLSearchParams, changes: Changes): string {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  return text ? `${to}?${text}` : to;
}

/** Goes to an address of the page. `replace` leaves no step to come back to, as while one types. */
export function go(to: string, replace = false) {
  if (to === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  take();
}

/** Changes parameters of this page. */
export function set(changes: Changes, replace = false) {
  go(here(changes), replace);
}

/** A parameter, or what it is where it is not there. Reads a signal: whoever renders it is rendered again. */
export function param(name: string, otherwise = ""): string {
  return params.value.get(name) ?? otherwise;
}

/** Links of the page are followed without loading it again; what opens tabs and what leads elsewhere is the browser's. */
export function followLinks() {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = (event.target as Element).closest?.("a[href]");
    if (!link || link.getAttribute("target") || link.hasAttribute("download")) return;
    // Links within a drawing have no parts of an address of their own.
    const to = new URL(link.getAttribute("href") ?? "", location.href);
    if (!isPage(to, location)) return;
    event.preventDefault();
    go(to.pathname + to.search);
  });
}
