//! End-to-end tests against a running weir: WEIR_URL is its console, WEIR_OTLP its OTLP/HTTP address.
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "tests",
  workers: 1,
  // A machine that builds beside it may be late once.
  retries: 1,
  timeout: 45_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  outputDir: process.env.WEIR_SHOTS ? `${process.env.WEIR_SHOTS}/failed` : "test-results",
  use: {
    baseURL: process.env.WEIR_URL,
    locale: "en-US",
    viewport: { width: 1280, height: 900 },
    screenshot: "only-on-failure",
    launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] },
  },
  projects: [
    { name: "pages", testMatch: /^((?!sign-in).)*\.spec\.ts$/ },
    { name: "sign-in", testMatch: /sign-in\.spec\.ts$/ },
  ],
});
