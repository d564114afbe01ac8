// Builds src/**/*.test.ts, and every words.ts for the test of texts, and runs them.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const out = mkdtempSync(join(process.cwd(), "node_modules", ".unit-"));
try {
  const files = readdirSync("src", { recursive: true }).filter((file) => /(\.test|(^|\/)words)\.ts$/.test(file));
  await build({
    entryPoints: files.sort().map((file) => join("src", file)),
    outdir: out,
    outbase: "src",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    jsx: "automatic",
    jsxImportSource: "preact",
    loader: { ".css": "empty" },
    logLevel: "error",
  });
  const { status } = spawnSync(process.execPath, ["--test", `${out}/`], { stdio: "inherit" });
  process.exitCode = status ?? 1;
} finally {
  rmSync(out, { recursive: true, force: true });
}
