import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { lang, tables, words } from "./words";

const here = dirname(fileURLToPath(import.meta.url));

function files(root: string, name: RegExp): string[] {
  const found = readdirSync(root, { recursive: true, encoding: "utf8" });
  return found.filter((file) => name.test(file)).map((file) => join(root, file));
}

/** The same in both languages. */
const NAMES = /\b(weir|GPU|GPUs|QPS|P\d\d?|Token|Tokens|CSV|NDJSON|JSON|YAML|KEDA|HPA|PromQL|XID|MIG|SHA-256|Ed25519|JSONL|Parquet|Trace ID|ID|Spans?|Pods?|ms|CPU|URL|API|OTLP|HMAC)\b/g;

test("every text has its Chinese form, and names the same arguments", async () => {
  for (const file of files(join(here, ".."), /\/words\.js$/)) await import(file);
  assert.ok(tables.length >= 3, "tables of texts");
  const wrong: string[] = [];
  for (const table of tables) {
    for (const [key, [english, chinese]] of Object.entries(table)) {
      const names = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort().join();
      if (names(english) !== names(chinese)) wrong.push(`${key}: ${english} / ${chinese}: other arguments`);
      const hasWords = /[a-z]{2}/i.test(english.replace(/\{\w+\}/g, "").replace(NAMES, ""));
      if (hasWords && !/[\u4e00-\u9fff]/.test(chinese) && english !== "English") wrong.push(`${key}: «${chinese}» is not Chinese`);
      if (/[\u4e00-\u9fff]/.test(english) && key !== "language") wrong.push(`${key}: «${english}» is not English`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("texts lie in files words.ts alone", () => {
  const root = join(process.cwd(), "src");
  const others = files(root, /\.tsx?$/).filter((file) => !/words(\.test)?\.ts$/.test(file));
  assert.deepEqual(others.filter((file) => /\bwords\(\{/.test(readFileSync(file, "utf8"))), []);
  const texts = others.flatMap((file) => [...readFileSync(file, "utf8").matchAll(/\b(?:aria-label|title|placeholder|label)="([^"]*[a-z]{2}[^"]*)"/gi)].map(([, text]) => text));
  assert.deepEqual(texts.filter((text) => !text?.startsWith("weir")), []);
});

test("given arguments, then they stand in the text of the language in force", () => {
  const w = words({ rows: ["{n} rows of {all}", "共 {all} 行中的 {n} 行"] });
  lang.value = "en";
  assert.equal(w.rows({ n: 3, all: 5 }), "3 rows of 5");
  lang.value = "zh";
  assert.equal(w.rows({ n: 3, all: 5 }), "共 5 行中的 3 行");
});
