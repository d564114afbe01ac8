import { expect, test } from "./setup";

const PIPELINE = { state: "healthy", event_time: "2026-11-30T10:00:00Z", evaluated_until: "2026-11-30T10:00:00Z", last_call: "2026-11-30T10:00:00Z", lag_seconds: 1, late: [] };

/** An answer of `/api/v1/alerts` that no demo gives. */
function answer(alerts: object[], more: object = {}) {
  return { json: { alerts, pipeline: PIPELINE, rules_error: null, alertmanager_config_error: null, ...more } };
}

function alert(labels: Record<string, string>, more: object = {}) {
  const status = { state: "active", silencedBy: [], inhibitedBy: [] };
  const times = { active_at: "2026-11-30T09:00:00Z", fired_at: "2026-11-30T09:01:00Z", resolved_at: null };
  return { state: "firing", status, labels, annotations: {}, value: 1, ...times, group: "g", file: "f.yaml", rule: labels.alertname, expr: "up == 0", ...more };
}

test("given a firing alert, when its row is opened, then it has its values, its threshold and links to what it is about", async ({ page }) => {
  await page.goto("/alerts");
  await page.getByRole("link", { name: /Firing.*P99 of POST/ }).first().click({ timeout: 40_000 });
  await expect(page).toHaveURL(/alert=[0-9a-f]{16}/);
  const detail = page.getByRole("region", { name: "InterfaceSlow" });
  await expect(detail.getByRole("figure", { name: "Values of the expression" })).toBeVisible();
  await expect(detail.getByRole("link", { name: "Slow traces" })).toHaveAttribute("href", /\/traces\?.*service=.*sort=duration/);
  await expect(detail.getByRole("link", { name: "Log lines" })).toHaveAttribute("href", /\/logs\?.*query=service/);
  await detail.getByRole("link", { name: "Interface", exact: true }).click();
  await expect(page).toHaveURL(/\/interfaces\?.*interface=POST/);
  await page.goBack();
  await expect(detail).toBeVisible();
});

test("given alerts, when keys are pressed, then they open, close and filter them", async ({ page }) => {
  await page.goto("/alerts");
  await expect(page.getByRole("link", { name: /P99 of POST/ }).first()).toBeVisible({ timeout: 40_000 });
  await page.keyboard.press("j");
  await expect(page).toHaveURL(/alert=/);
  await page.keyboard.press("Escape");
  await expect(page).not.toHaveURL(/alert=/);
  await page.keyboard.press("j");
  await page.keyboard.press("n");
  await expect(page.getByRole("dialog", { name: "New silence" }).getByLabel("Value").first()).toHaveValue("InterfaceSlow");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(page).toHaveURL(/alert=/);
  await page.keyboard.press("/");
  await page.keyboard.type("no-such-alert");
  await expect(page.getByText("No alert matches the filter.")).toBeVisible();
  await page.getByRole("link", { name: "Clear the filter" }).click();
  await expect(page.getByRole("link", { name: /P99 of POST/ }).first()).toBeVisible();
});

test("given a firing alert, when it is silenced, then a reason is asked for, what it hits is shown, and it can be ended", async ({ page }) => {
  await page.goto("/alerts");
  await page.getByRole("link", { name: /Firing.*P99 of POST/ }).first().click({ timeout: 40_000 });
  await page.getByRole("link", { name: "Silence", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "New silence" });
  await expect(dialog.getByText(/^Silences \d+ of \d+ active alerts now/)).toBeVisible();
  await dialog.getByLabel("Author").fill("test");
  await dialog.getByRole("button", { name: "Create the silence" }).click();
  await expect(dialog.getByRole("alert")).toContainText("Say why");
  await dialog.getByLabel("Comment").fill("being looked at");
  await dialog.getByRole("button", { name: "1h", exact: true }).click();
  await dialog.getByRole("button", { name: "Create the silence" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByText(/test: being looked at/)).toBeVisible();
  await page.getByRole("navigation", { name: "Sections of alerts" }).getByRole("link", { name: "Silences" }).click();
  const row = page.getByRole("row", { name: /being looked at/ });
  await expect(row).toContainText("In force");
  await row.getByRole("button", { name: "Expire" }).click();
  await row.getByRole("button", { name: "Expire now?" }).click();
  await expect(row).toBeHidden();
});

test("given matchers that match everything, then the silence is not made", async ({ page }) => {
  await page.goto(`/alerts?silence=${encodeURIComponent('{service=~".*"}')}`);
  const dialog = page.getByRole("dialog", { name: "New silence" });
  await dialog.getByLabel("Author").fill("test");
  await dialog.getByLabel("Comment").fill("all");
  await dialog.getByRole("button", { name: "Create the silence" }).click();
  await expect(dialog.getByRole("alert")).toContainText("match every alert");
});

test("given what happened, then the history has it on a time axis and one by one", async ({ page }) => {
  await page.goto("/alerts?tab=history&start=now-3h");
  await expect(page.getByRole("img", { name: /^(Firing|Pending) from/ }).first()).toBeVisible({ timeout: 40_000 });
  await expect(page.getByRole("row", { name: /InterfaceSlow/ }).first()).toBeVisible();
  await page.getByLabel("State").selectOption("resolved");
  await expect(page).toHaveURL(/state=resolved/);
  await page.goto("/alerts?tab=history&start=2020-01-01T00:00:00Z&end=2020-01-02T00:00:00Z");
  await expect(page.getByText("No alert changed its state in the time shown.")).toBeVisible();
});

test("given a rule, when a change is tried, then the replay says what would have fired, or what is wrong with it", async ({ page }) => {
  await page.goto("/alerts?tab=rules");
  await page.getByRole("link", { name: /InterfaceSlow/ }).click();
  const detail = page.getByRole("region", { name: "InterfaceSlow" });
  await expect(detail.getByRole("figure", { name: "Values of the expression" })).toBeVisible();
  await detail.getByRole("link", { name: "Try a change" }).click();
  const file = page.getByLabel("Rule file");
  await expect(file).toHaveValue(/alert: "InterfaceSlow"/);
  await page.getByLabel("Over").selectOption("15m");
  await page.getByRole("button", { name: "Replay", exact: true }).click();
  await expect(page.getByRole("row", { name: /InterfaceSlow/ }).first()).toBeVisible({ timeout: 40_000 });
  await expect(page.getByRole("columnheader", { name: /Pages a week/ })).toBeVisible();
  await file.fill("groups:\n  - name: x\n    rules:\n      - alert: Bad\n        expr: sum(");
  await page.getByRole("button", { name: "Replay", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText("rules.yaml");
});

test("given data that is late, or none, then the page says so and not that all is well", async ({ page }) => {
  await page.route("**/api/v1/alerts", (route) => route.fulfill(answer([], { pipeline: { ...PIPELINE, state: "late", lag_seconds: 300, late: [{ collector: "c1", host: "node-7", state: "waited" }] } })));
  await page.goto("/alerts");
  await expect(page.getByRole("alert")).toContainText("5 min behind the clock");
  await expect(page.getByRole("alert")).toContainText("node-7");
  await page.unroute("**/api/v1/alerts");
  await page.route("**/api/v1/alerts", (route) => route.fulfill(answer([], { pipeline: { ...PIPELINE, state: "no_data", last_call: null }, rules_error: "rules.yaml: line 3: bad" })));
  await page.goto("/alerts");
  await expect(page.getByRole("alert").first()).toContainText("does not mean that all is well");
  await expect(page.getByText("rules.yaml: line 3: bad")).toBeVisible();
});

test("given that alerts cannot be loaded, then the API's own words are shown, and another try works", async ({ page }) => {
  await page.route("**/api/v1/alerts", (route) => route.fulfill({ status: 503, json: { title: "Service Unavailable", status: 503, detail: "the store is read again" } }));
  await page.goto("/alerts?refresh=0");
  await expect(page.getByRole("alert")).toContainText("the store is read again");
  await page.unroute("**/api/v1/alerts");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByText("Data is current")).toBeVisible();
});

test("given 6,000 alerts and texts full of markup, then the list is virtual, found by a word, and all is text", async ({ page }) => {
  const evil = '<img src=x onerror="window.weirxss=1">';
  const many = Array.from({ length: 6000 }, (_, at) => alert({ alertname: `Alert${at % 400}`, service: `s${at % 50}`, at: `n${at}` }, { annotations: { summary: `${evil} number ${at}` } }));
  const states = [
    alert({ alertname: evil, severity: evil }, { annotations: { summary: "x".repeat(1_000_000), runbook_url: "javascript:window.weirxss=1", description: evil } }),
    alert({ alertname: "Held" }, { status: { state: "suppressed", silencedBy: ["1"], inhibitedBy: [] } }),
    alert({ alertname: "Explained" }, { status: { state: "suppressed", silencedBy: [], inhibitedBy: ["2"] }, value: "NaN" }),
  ];
  await page.route("**/api/v1/alerts", (route) => route.fulfill(answer([...states, ...many])));
  await page.goto("/alerts?refresh=0&group=none");
  await expect(page.getByRole("button", { name: /^Firing 6001/ })).toBeVisible();
  await expect(page.getByRole("button", { name: /^Silenced 1/ })).toBeVisible();
  await expect(page.getByRole("button", { name: /^Inhibited 1/ })).toBeVisible();
  expect(await page.getByRole("region", { name: "Alerts" }).getByRole("link").count()).toBeLessThan(120);
  await page.getByRole("searchbox").fill("at=n5999");
  await page.getByRole("link", { name: /number 5999/ }).click();
  await page.getByRole("searchbox").fill("xxxx");
  await page.getByRole("link", { name: /xxxx/ }).click();
  await expect(page.getByRole("button", { name: /Show all/ }).first()).toBeVisible();
  expect(await page.evaluate(() => "weirxss" in window)).toBe(false);
  expect(await page.locator("main img, main script, a[href^='javascript']").count()).toBe(0);
});

test("given a viewer, then nothing offers what a viewer may not do", async ({ page }) => {
  await page.route("**/auth/session", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ json: { ...(await response.json()), user: { name: "eve", role: "viewer", tenants: ["*"] } } });
  });
  await page.goto("/alerts?tab=silences");
  await expect(page.getByText("Silencing needs the role operator.")).toBeVisible();
  await expect(page.getByRole("link", { name: "New silence" })).toHaveCount(0);
});
