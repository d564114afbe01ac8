// How long after the page of logs is opened in a new browser profile its lines, and its count and histogram too, are seen.
//   node bench/first-view.mjs ADDRESS [TIMES]
// Prints {"opened": n, "lines_p50_ms", "lines_max_ms", "whole_p50_ms", "whole_max_ms"}: `lines` is the first line,
// `whole` is lines, their count and the histogram; from the start of the navigation, by the page's own clock.
import { launch, print } from "./browser.mjs";

const [address, times = "10"] = process.argv.slice(2);
const browser = await launch();
const lines = [];
const wholes = [];
for (let time = 0; time < Number(times); time += 1) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.addInitScript(() => {
    const seen = { line: 0, whole: 0 };
    globalThis.seen = seen;
    const look = () => {
      const hasLine = document.querySelector(".log-row") !== null;
      const hasChart = document.querySelector("figure.chart canvas") !== null;
      const hasCount = document.querySelector(".log-histogram[aria-busy=false]") !== null;
      if (hasLine && !seen.line) seen.line = performance.now();
      if (hasLine && hasChart && hasCount && !seen.whole) seen.whole = performance.now();
      if (!seen.whole) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await page.goto(address, { waitUntil: "commit" });
  await page.waitForFunction(() => globalThis.seen.whole > 0, undefined, { timeout: 60_000 });
  const seen = await page.evaluate(() => globalThis.seen);
  lines.push(seen.line);
  wholes.push(seen.whole);
  await context.close();
}
await browser.close();
const sorted = (values) => values.sort((a, b) => a - b).map((value) => Math.round(value));
const half = (values) => values[Math.floor(values.length / 2)];
const [line, whole] = [sorted(lines), sorted(wholes)];
print({ opened: line.length, lines_p50_ms: half(line), lines_max_ms: line.at(-1), whole_p50_ms: half(whole), whole_max_ms: whole.at(-1) });
