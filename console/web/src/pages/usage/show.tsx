//! How names and numbers of usage are shown.
import { count, short } from "../../lib/format";
import { lang } from "../../lib/words";
import type { Measure } from "./report";
import { w } from "./words";

/** Of a name that are shown. */
const MOST_CHARACTERS = 300;

/** A name, or what it means that there is none. */
export function nameText(level: "tenant" | "service" | "interface", name: string | null): string {
  if (name) return name.length > MOST_CHARACTERS ? `${name.slice(0, MOST_CHARACTERS)}…` : name;
  return { tenant: w.no_tenant, service: w.no_service, interface: w.no_interface }[level]();
}

/** `1,234.5` */
export function number(value: number, digits: number): string {
  return value.toLocaleString(lang.value, { maximumFractionDigits: digits });
}

export function gpuHours(seconds: number): string {
  const hours = seconds / 3600;
  return `${number(hours, hours < 10 ? 2 : 1)} h`;
}

/** Joules as `12.3 kWh`. */
export function energy(joules: number): string {
  const kwh = joules / 3.6e6;
  return kwh < 1 ? `${number(kwh * 1e3, 1)} Wh` : `${number(kwh, 1)} kWh`;
}

/** What is measured, with its currency. */
export function measureName(measure: Measure, currency: string | null): string {
  return measure === "amount" && currency ? `${w.amount()} (${currency})` : w[measure]();
}

/** A value of the chart. */
export function measureText(measure: Measure): (value: number) => string {
  if (measure === "amount") return (value) => (value >= 1e4 ? short(value) : number(value, value < 1 ? 4 : 2));
  if (measure === "gpu_hours") return (value) => `${short(value)} h`;
  if (measure === "energy") return (value) => `${short(value)} kWh`;
  return (value) => (value >= 1e4 ? short(value) : count(value));
}
