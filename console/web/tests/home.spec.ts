import { expect, test } from "./setup";

test("given the demo, when its alert fires, then the overview says what is slow and leads to it", async ({ page }) => {
  await page.goto("/");
  await expect(page.getByRole("heading", { name: /alerts? (is|are) firing/ })).toBeVisible({ timeout: 40_000 });
  await expect(page.getByText(/P99 of POST \/v1\/ocr\/0 is 1\.5/).first()).toBeVisible();
  await page.getByRole("link", { name: "Interface", exact: true }).first().click();
  await expect(page).toHaveURL(/\/interfaces\?.*interface=POST/);
});

test("given an alert, when three links are followed, then one of its log lines is open", async ({ page }) => {
  await page.goto("/");
  await page.getByRole("link", { name: "Log lines", exact: true }).first().click({ timeout: 40_000 });
  await expect(page).toHaveURL(/\/logs\?/);
  await page.getByText("slow call 调用过慢").first().click();
  await expect(page.getByText(/trace_id/).first()).toBeVisible();
});

test("given any page, when keys are pressed, then they lead to pages, to the query and to their list", async ({ page }) => {
  await page.goto("/");
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toContainText("Go to Traces");
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("l");
  await expect(page.getByRole("heading", { level: 1, name: "Logs" })).toBeVisible();
  await page.keyboard.press("/");
  await expect(page.locator("[data-query]").first()).toBeFocused();
  await page.goBack();
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
});

test("given a stretch of time, when another page is opened, then it shows the same stretch", async ({ page }) => {
  await page.goto("/");
  await page.getByRole("button", { name: "Last 15 min" }).click();
  await page.getByRole("button", { name: "Last 1 h", exact: true }).click();
  await expect(page).toHaveURL(/start=now-1h/);
  await page.getByRole("link", { name: "Traces", exact: true }).click();
  await expect(page).toHaveURL(/\/traces\?start=now-1h/);
  await page.getByRole("button", { name: "Last 1 h" }).click();
  await page.getByLabel("From").fill("yesterday");
  await page.getByRole("button", { name: "Apply" }).click();
  await expect(page.getByRole("alert")).toContainText("now-15m");
});

test("given an address that is no page, then it says so", async ({ page }) => {
  await page.goto("/");
  await page.evaluate(() => {
    history.pushState(null, "", "/nowhere");
    dispatchEvent(new PopStateEvent("popstate"));
  });
  await expect(page.getByText("There is no such page.")).toBeVisible();
});

test("given any page, when the first link is taken by keys, then the content has the focus", async ({ page }) => {
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();
});

test("given a time that is too far away, then the page shows the usual one", async ({ page }) => {
  await page.goto("/?start=now-99999999d");
  await expect(page.getByRole("figure", { name: "Log lines by severity" })).toBeVisible();
});
