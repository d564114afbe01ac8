import { expect, test } from "./setup";
import { hex, newTraceId, sendTrace } from "./spans";

test("given calls, when an interface is opened from the table, then its charts, traces and distribution are shown", async ({ page }) => {
  const at = Date.now() - 3000;
  const service = `till-${at}`;
  await sendTrace(page, newTraceId(), [
    { id: hex(1, 16), name: "POST /pay", service, at, length: 500, kind: "server", error: "declined" },
    { id: hex(2, 16), parent: hex(1, 16), name: "charge", service: `bank-${at}`, at: at + 10, length: 400, kind: "server" },
  ]);
  await page.goto(`/interfaces?q=${service}&refresh=2`);
  await page.getByRole("row", { name: /POST \/pay/ }).getByRole("link").click({ timeout: 40_000 });
  await expect(page.getByRole("heading", { name: `${service} POST /pay` })).toBeVisible();
  await expect(page.getByRole("figure", { name: "QPS by outcome" })).toBeVisible();
  await expect(page.getByRole("img", { name: /1 calls by duration/ })).toBeVisible();
  await expect(page.getByRole("heading", { name: "Slowest traces" })).toBeVisible();
  await expect(page.getByRole("link", { name: /^[0-9a-f]{32}$/ }).first()).toBeVisible();
  await page.goBack();
  await expect(page).toHaveURL(new RegExp(`q=${service}`));
});

test("given the table, when it is filtered, grouped and sorted, then the address says so", async ({ page }) => {
  await page.goto("/interfaces");
  await expect(page.getByRole("row").nth(1)).toBeVisible({ timeout: 30_000 });
  await page.getByRole("group", { name: "Group by" }).getByRole("button", { name: "Tenant" }).click();
  await expect(page).toHaveURL(/by=service%2Cinterface/);
  await page.getByRole("columnheader", { name: "P99" }).getByRole("button").click();
  await expect(page).toHaveURL(/sort=-p99/);
  await page.keyboard.press("/");
  await page.keyboard.type("no such interface");
  await expect(page.getByText("No name matches.")).toBeVisible();
});

test("given a rule with a threshold, then the chart of its interface is drawn with it", async ({ page }) => {
  const at = Date.now() - 3000;
  const service = `slow-${at}`;
  await sendTrace(page, newTraceId(), [{ id: hex(1, 16), name: "GET /slow", service, at, length: 2500, kind: "server" }]);
  const expr = "histogram_quantile(0.99, sum by (service, interface) (rate(weir_call_duration_seconds[1m])))";
  await page.route("**/api/v1/rules*", async (route) => {
    const rule = { name: "TooSlow", type: "alerting", expr: `${expr} > 2`, threshold: { expr, op: ">", value: 2 }, line: 1, health: "ok", alerts: 0 };
    await route.fulfill({ json: { groups: [{ name: "g", file: "f", rules: [rule] }], pipeline: { state: "healthy" }, rules_error: null } });
  });
  await page.goto(`/interfaces?service=${service}&interface=GET+/slow&refresh=2`);
  await expect(page.getByRole("link", { name: "TooSlow P99 > 2 s" })).toBeVisible();
  await expect(page.getByRole("figure", { name: "Duration" })).toBeVisible({ timeout: 30_000 });
});

test("given services that call each other, when the map is opened, then a click shows one of them", async ({ page }) => {
  const at = Date.now() - 3000;
  const [front, back] = [`front-${at}`, `back-${at}`];
  await sendTrace(page, newTraceId(), [
    { id: hex(1, 16), name: "GET /", service: front, at, length: 50, kind: "server" },
    { id: hex(2, 16), parent: hex(1, 16), name: "GET /data", service: back, at: at + 5, length: 20, kind: "server" },
  ]);
  await page.goto("/interfaces?view=map");
  await page.getByRole("row", { name: new RegExp(front) }).getByRole("link", { name: back }).click({ timeout: 30_000 });
  await expect(page.getByRole("heading", { name: back })).toBeVisible();
  await expect(page.getByRole("region", { name: "2 services, 1 kinds of calls" })).toBeVisible();
  await page.getByRole("link", { name: "All services" }).click();
  await expect(page.getByRole("heading", { name: "Service map" })).toBeVisible();
});

test("given an answer that fails, then its reason is shown and asked for again", async ({ page }) => {
  await page.route("**/prometheus/api/v1/query?*", (route) => route.fulfill({ status: 503, json: { status: 503, title: "Service Unavailable", detail: "too many queries run" } }));
  await page.goto("/interfaces?refresh=0");
  await expect(page.getByRole("alert")).toContainText("too many queries run");
  await page.unroute("**/prometheus/api/v1/query?*");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("alert")).toBeHidden();
});
