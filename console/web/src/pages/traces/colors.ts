//! Colours of services: each keeps its own within a trace.
import { SERIES } from "../../lib/theme";
import type { Tree } from "./tree";

export function colorsOf({ services }: Tree): Map<string, string> {
  return new Map(services.map((service, at) => [service, SERIES[at % SERIES.length] ?? "s1"]));
}
