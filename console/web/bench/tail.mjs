// Live tail under load: the longest task of the page, frames drawn, memory. Tasks are told in time of the clock, which on a
// busy machine has the waiting for a processor in it, and in time of the processor.
// node bench/tail.mjs CONSOLE_URL [seconds], while something writes lines, as
// `weir load logs --dir DIR --rate 10000 --lines 1000000` into a folder that the collector follows.
import { launch, print } from "./browser.mjs";

const [url = "http://127.0.0.1:7400", seconds = "60"] = process.argv.slice(2);
const browser = await launch("--enable-precise-memory-info");
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
page.on("pageerror", (error) => console.error("error of the page:", error.message));
await page.goto(`${url}/logs?live=1`);
await page.waitForSelector(".log-row");
await page.waitForTimeout(2000);
await page.evaluate(() => {
  window.measured = { tasks: [], frames: 0, from: performance.now(), memory: [] };
  new PerformanceObserver((list) => window.measured.tasks.push(...list.getEntries().map((task) => task.duration))).observe({ entryTypes: ["longtask"] });
  const frame = () => {
    window.measured.frames += 1;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  setInterval(() => window.measured.memory.push(performance.memory.usedJSHeapSize), 1000);
});
await browser.startTracing(page, { categories: ["toplevel"] });
await page.waitForTimeout(Number(seconds) * 1000);
const measured = await page.evaluate(() => ({ ...window.measured, to: performance.now() }));
const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
const thread = (event) => `${event.pid} ${event.tid}`;
const renderers = new Set(traceEvents.filter((event) => event.args?.name === "CrRendererMain").map(thread));
const cpu = traceEvents.filter((event) => event.name.includes("RunTask") && event.tdur && renderers.has(thread(event))).map((event) => event.tdur / 1000);
const took = (measured.to - measured.from) / 1000;
const mega = (bytes) => Math.round(bytes / 1e6);
print({
  seconds: Math.round(took),
  frames_per_second: Math.round(measured.frames / took),
  tasks_over_50_ms: measured.tasks.length,
  longest_task_ms: Math.round(Math.max(0, ...measured.tasks)),
  longest_task_cpu_ms: Math.round(cpu.reduce((most, one) => Math.max(most, one), 0)),
  cpu_share: Number((cpu.reduce((sum, one) => sum + one, 0) / 1000 / took).toFixed(2)),
  heap_mb: { first: mega(measured.memory[0] ?? 0), last: mega(measured.memory.at(-1) ?? 0), most: mega(Math.max(0, ...measured.memory)) },
  status: await page.getByRole("status").first().innerText(),
});
await browser.close();
