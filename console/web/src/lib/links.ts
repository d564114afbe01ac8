//! Which links the page follows itself. Pure.

/** What the server answers on its own. */
const SERVED = /^\/(api|auth|prometheus)(\/|$)/;

/** Whether a link leads to a page of the console; a place on the same page is the browser's. */
export function isPage(to: URL, from: Pick<URL, "origin" | "pathname">): boolean {
  if (to.origin !== from.origin || SERVED.test(to.pathname)) return false;
  return !to.hash || to.pathname !== from.pathname;
}
