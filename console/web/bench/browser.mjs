//! Chromium for benchmarks.
import { chromium } from "@playwright/test";

/** With more arguments, if any. */
export function launch(...more) {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", ...more] });
}

/** Prints the figures of a benchmark as one line of JSON. */
export function print(figures) {
  console.log(JSON.stringify(figures));
}
