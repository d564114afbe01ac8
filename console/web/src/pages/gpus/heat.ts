//! Colours of a GPU's cell by what the page shows of it. Pure.
import type { Gpu } from "./fleet";

export const MEASURES = ["utilization", "memory", "temperature", "power"] as const;
export type Measure = (typeof MEASURES)[number];

export interface Heat {
  /** 0 to 1: how strong the colour is. */
  level: number;
  tone: "accent" | "warn" | "bad";
  text: string;
}

/** Degrees from which a GPU is warm, and from which rules say it is too hot. */
const [WARM, HOT] = [78, 85];

export function heat(gpu: Gpu, measure: Measure): Heat | null {
  const ratio = (value: number | null, whole: number | null) => (value === null || !whole ? null : value / whole);
  if (measure === "temperature") {
    const { temperature } = gpu;
    if (temperature === null) return null;
    const tone = temperature >= HOT ? "bad" : temperature >= WARM ? "warn" : "accent";
    return { level: clamp((temperature - 25) / 65), tone, text: String(Math.round(temperature)) };
  }
  if (measure === "power") {
    const level = ratio(gpu.power, gpu.powerLimit ?? 700);
    if (level === null) return null;
    return { level: clamp(level), tone: level > 1.02 ? "bad" : "accent", text: String(Math.round(gpu.power ?? 0)) };
  }
  const level = measure === "memory" ? ratio(gpu.used, gpu.limit) : gpu.utilization;
  if (level === null) return null;
  return { level: clamp(level), tone: measure === "memory" && level > 0.95 ? "warn" : "accent", text: String(Math.round(level * 100)) };
}

function clamp(value: number): number {
  return Math.max(0, Math.min(1, value));
}
