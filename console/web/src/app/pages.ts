//! The pages: where each is, and what loads it.
import type { FunctionComponent } from "preact";
import type { Text } from "../lib/words";
import type { IconName } from "../ui/icons";
import { titles as w } from "./words";

export interface Page {
  path: string;
  title: Text;
  icon: IconName;
  /** Pressed after `g`. */
  key: string;
  load: () => Promise<{ default: FunctionComponent }>;
  /** Seconds between two loads where the address does not say; 0 is never. */
  refresh: number;
}

export const PAGES: Page[] = [
  { path: "/", title: w.home, icon: "home", key: "h", refresh: 10, load: () => import("../pages/home") },
  { path: "/logs", title: w.logs, icon: "logs", key: "l", refresh: 0, load: () => import("../pages/logs") },
  { path: "/traces", title: w.traces, icon: "traces", key: "t", refresh: 0, load: () => import("../pages/traces") },
  { path: "/interfaces", title: w.interfaces, icon: "interfaces", key: "i", refresh: 10, load: () => import("../pages/interfaces") },
  { path: "/alerts", title: w.alerts, icon: "alerts", key: "a", refresh: 5, load: () => import("../pages/alerts") },
  { path: "/gpus", title: w.gpus, icon: "gpus", key: "n", refresh: 10, load: () => import("../pages/gpus") },
  { path: "/usage", title: w.usage, icon: "usage", key: "u", refresh: 30, load: () => import("../pages/usage") },
  { path: "/data", title: w.data, icon: "data", key: "d", refresh: 10, load: () => import("../pages/data") },
  { path: "/scaling", title: w.scaling, icon: "scaling", key: "c", refresh: 10, load: () => import("../pages/scaling") },
  { path: "/status", title: w.status, icon: "status", key: "s", refresh: 5, load: () => import("../pages/status") },
];

/** The page of a path: `/traces/4bf92f…` is the page of `/traces`. */
export function pageOf(path: string): Page | undefined {
  const first = `/${path.split("/")[1] ?? ""}`;
  return PAGES.find((page) => page.path === first);
}
