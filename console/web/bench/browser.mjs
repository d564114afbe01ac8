//! Chromium for benchmarks.
import { chromium } from "@playwright/test";

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}

/** Prints the figures of a benchmark as one line of JSON. */
export function print(figures) {
  console.log(JSON.stringify(figures));
}
