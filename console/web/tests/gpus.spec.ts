import type { Page } from "@playwright/test";
import { expect, otlp, test } from "./setup";

type Point = [attributes: Record<string, string>, value: number];

const attributes = (all: Record<string, string>) => Object.entries(all).map(([key, value]) => ({ key, value: { stringValue: value } }));

/** Sends gauges of a machine, as its collector does. */
async function send(page: Page, host: string, metrics: Record<string, Point[]>) {
  const timeUnixNano = `${Date.now()}000000`;
  const sent = Object.entries(metrics).map(([name, points]) => {
    const [metric, unit = "1"] = name.split(" ");
    return { name: metric, unit, gauge: { dataPoints: points.map(([own, asDouble]) => ({ attributes: attributes(own), timeUnixNano, asDouble })) } };
  });
  const data = { resourceMetrics: [{ resource: { attributes: attributes({ "host.name": host }) }, scopeMetrics: [{ metrics: sent }] }] };
  const answer = await page.request.post(`${otlp()}/v1/metrics`, { data });
  expect(answer.ok(), await answer.text()).toBe(true);
}

async function sendGpus(page: Page, host: string) {
  const gpus = [0, 1].map((at) => ({ "hw.id": `GPU-${host}-${at}`, "hw.name": `gpu${at}`, "hw.model": "NVIDIA H100", "hw.type": "gpu" }));
  const each = (value: (at: number) => number, more: Record<string, string> = {}): Point[] => gpus.map((gpu, at) => [{ ...gpu, ...more }, value(at)]);
  await send(page, host, {
    "hw.gpu.utilization": each((at) => 0.25 + at / 2, { "hw.gpu.task": "general" }),
    "hw.gpu.memory.usage By": each(() => 40e9),
    "hw.gpu.memory.limit By": each(() => 80e9),
    "hw.temperature Cel": each((at) => 60 + 30 * at, { "hw.sensor_location": "gpu" }),
    "hw.power W": each(() => 300),
  });
}

test("given machines without GPUs, then they are shown with what they measure, and why no GPU is", async ({ page }) => {
  await page.route("**/prometheus/api/v1/query?*", async (route) => {
    if (/hw_|weir_gpu/.test(decodeURIComponent(route.request().url()))) await route.fulfill({ json: { status: "success", data: { resultType: "vector", result: [] } } });
    else await route.continue();
  });
  await page.goto("/gpus");
  await expect(page.getByText(/No GPU is measured on these machines.*libnvidia-ml/)).toBeVisible({ timeout: 40_000 });
  const node = page.getByRole("region", { name: "Nodes" }).getByRole("link").first();
  await node.click();
  await expect(page).toHaveURL(/node=/);
  await expect(page.getByRole("figure", { name: "CPU" })).toBeVisible();
  await page.getByRole("link", { name: "All nodes" }).click();
  await expect(page.getByRole("region", { name: "Nodes" })).toBeVisible();
});

test("given GPUs, then the grid leads to one, with its measures over time and shares that add up", async ({ page }) => {
  const host = `node-${Date.now()}`;
  await sendGpus(page, host);
  await page.goto("/gpus?refresh=2");
  const cell = page.getByRole("link", { name: new RegExp(`${host} gpu1 · Utilisation 75`) });
  await expect(cell).toBeVisible({ timeout: 30_000 });
  await page.getByRole("button", { name: "Temperature" }).click();
  await expect(page).toHaveURL(/color=temperature/);
  await page.getByRole("link", { name: new RegExp(`${host} gpu1 · Temperature 90`) }).click();
  await expect(page).toHaveURL(new RegExp(`gpu=GPU-${host}-1`));
  await expect(page.getByText("40 GB / 80 GB")).toBeVisible();
  await expect(page.getByRole("row", { name: /The whole GPU 80 GB 100%/ })).toBeVisible();
  await expect(page.getByRole("figure", { name: "Temperature" })).toBeVisible({ timeout: 30_000 });
  await page.getByRole("link", { name: "gpu0" }).click();
  await expect(page).toHaveURL(new RegExp(`gpu=GPU-${host}-0`));
  await page.keyboard.press("Escape");
  await expect(page.getByRole("region", { name: "GPUs of this node" })).toBeVisible();
});

test("given a filter, then only nodes with it are there; a GPU that is not there is said to be so", async ({ page }) => {
  const host = `filter-${Date.now()}`;
  await sendGpus(page, host);
  await page.goto(`/gpus?refresh=2&q=${host}`);
  await expect(page.getByRole("heading", { name: "Nodes · 1" })).toBeVisible({ timeout: 30_000 });
  await page.getByRole("searchbox").fill("no such node");
  await expect(page.getByText("No node matches the filter.")).toBeVisible();
  await page.goto("/gpus?gpu=GPU-none");
  await expect(page.getByText("This GPU sends no metrics now.")).toBeVisible();
});

test("given that queries fail, then the API's own words are shown", async ({ page }) => {
  await page.route("**/prometheus/api/v1/query?*", (route) => route.fulfill({ status: 503, json: { status: "error", errorType: "unavailable", error: "too many queries" } }));
  await page.goto("/gpus?refresh=0");
  await expect(page.getByRole("alert").first()).toContainText("too many queries");
});

test("given 500 nodes of 8 GPUs, then cells and rows are there only where they are seen", async ({ page }) => {
  const result = Array.from({ length: 4000 }, (_, at) => ({
    metric: { host_name: `n${at >> 3}`, hw_id: `GPU-${at}`, hw_name: `gpu${at & 7}`, hw_model: "<img src=x onerror=alert(1)>" },
    value: [0, String((at % 100) / 100)],
  }));
  await page.route("**/prometheus/api/v1/query?*", (route) => {
    const isUtilization = decodeURIComponent(route.request().url()).replaceAll("+", " ").includes("query=max by (host_name, hw_id, hw_name, hw_model) (hw_gpu_utilization_ratio");
    return route.fulfill({ json: { status: "success", data: { resultType: "vector", result: isUtilization ? result : [] } } });
  });
  await page.goto("/gpus?refresh=0");
  await expect(page.getByRole("heading", { name: "Nodes · 500" })).toBeVisible();
  expect(await page.getByRole("link", { name: /gpu\d · Utilisation/ }).count()).toBeLessThan(1200);
  expect(await page.getByRole("row").count()).toBeLessThan(80);
  await page.getByRole("searchbox").fill("n499");
  await expect(page.getByRole("link", { name: /n499 gpu7/ })).toBeVisible();
  expect(await page.locator("main img").count()).toBe(0);
});
