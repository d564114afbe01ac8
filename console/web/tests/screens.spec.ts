//! Every page in both languages, dark and light, wide and narrow: pictures to look at, no serious fault of access, no
//! text left in the other language.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { expect, test } from "./setup";

const PAGES = ["/", "/logs", "/traces", "/interfaces", "/alerts", "/gpus", "/usage", "/data", "/scaling", "/status"];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = process.env.WEIR_SHOTS ?? "screenshots";
mkdirSync(folder, { recursive: true });

interface Looks {
  lang: "en" | "zh";
  theme: "dark" | "light";
  width: number;
}

const LOOKS: Looks[] = [
  { lang: "en", theme: "dark", width: 1280 },
  { lang: "en", theme: "light", width: 1280 },
  { lang: "zh", theme: "dark", width: 1280 },
  { lang: "zh", theme: "light", width: 1280 },
  { lang: "en", theme: "light", width: 390 },
  { lang: "zh", theme: "dark", width: 390 },
];

for (const { lang, theme, width } of LOOKS) {
  test.describe(`${lang} ${theme} ${width}`, () => {
    test.use({ locale: lang === "zh" ? "zh-CN" : "en-US", colorScheme: theme, viewport: { width, height: width === 390 ? 844 : 900 } });
    test("every page is whole", async ({ page }) => {
      test.setTimeout(120_000);
      for (const path of PAGES) {
        await page.goto(path);
        await expect(page.locator("main > *").first()).toBeVisible();
        await page.waitForLoadState("networkidle").catch(() => undefined);
        await page.waitForTimeout(300);
        const name = `${path.slice(1) || "home"}-${lang}-${theme}-${width}.png`;
        await page.screenshot({ path: join(folder, name) });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(overflow, `${path} is wider than the screen`).toBeLessThanOrEqual(0);
        expect((await page.evaluate(() => document.body.innerText)).length, path).toBeGreaterThan(40);
        await page.evaluate(axe);
        const faults = await page.evaluate(async () => {
          // @ts-expect-error axe is put there by the line before.
          const { violations } = await globalThis.axe.run();
          type Violation = { id: string; impact: string; nodes: { html: string; failureSummary: string }[] };
          const serious = (violations as Violation[]).filter(({ impact }) => impact === "serious" || impact === "critical");
          return serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.failureSummary}`).join(" | ")}`);
        });
        expect(faults, `${path} ${lang} ${theme} ${width}`).toEqual([]);
      }
    });
  });
}

test.describe("in Chinese", () => {
  test.use({ locale: "zh-CN" });
  test("no page has a text of the English page, and the switch turns all of it", async ({ page }) => {
    for (const path of PAGES) {
      await page.goto(path);
      await expect(page.locator("main > *").first()).toBeVisible();
      await page.waitForTimeout(500);
      const chinese = new Set(await labels(page));
      await page.getByRole("button", { name: "English" }).click();
      await page.waitForTimeout(300);
      const english = await labels(page);
      await page.getByRole("button", { name: "中文" }).click();
      const left = english.filter((text) => chinese.has(text) && /[a-z]{3}/i.test(text) && !KEPT.test(text));
      expect(left, path).toEqual([]);
    }
  });
});

/** What is the same in both languages: names, units, and data. */
const KEPT = /^(weir|English|GPU|QPS|P\d+|Token|CSV|NDJSON|JSON|YAML|KEDA|HPA|PromQL|XID|MIG|FATAL|ERROR|WARN|INFO|DEBUG|TRACE|Pods?|ms|ID|URL|CPU)$/;

/** Texts of controls and heads, which are the page's and not data. */
async function labels(page: import("@playwright/test").Page): Promise<string[]> {
  return page.evaluate(() => {
    const found = document.querySelectorAll("h1, h2, h3, th, nav a span, label, legend, .stat-label, .tabs a, [data-word]");
    return [...found].map((element) => (element.textContent ?? "").replace(/[↑↓]/g, "").trim()).filter(Boolean);
  });
}
