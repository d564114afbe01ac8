import { expect, test } from "./setup";

test("given calls, when tenants, services and interfaces are followed, then each step shows its parts and back leads up", async ({ page }) => {
  await page.goto("/usage");
  const report = page.getByRole("region", { name: "Report" });
  await expect(report.getByRole("link", { name: "acme" })).toBeVisible();
  await expect(page.getByText(/Complete until \d\d:\d\d:\d\d; later hours may still change\./)).toBeVisible();
  await expect(page.getByRole("button", { name: "This month" })).toBeVisible();
  await report.getByRole("link", { name: "acme" }).click();
  await expect(page).toHaveURL(/tenant=acme/);
  await report.getByRole("link", { name: "ocr", exact: true }).click();
  await report.getByRole("link", { name: "POST /v1/ocr/0" }).click();
  await expect(page).toHaveURL(/interface=POST/);
  await expect(page.getByRole("navigation", { name: "Narrowed to" })).toContainText("All tenants/acme/ocr/POST /v1/ocr/0");
  await expect(page.getByRole("columnheader", { name: /Day/ })).toBeVisible();
  await page.goBack();
  await expect(report.getByRole("link", { name: "POST /v1/ocr/0" })).toBeVisible();
  const file = page.getByRole("link", { name: "CSV" });
  const address = await file.getAttribute("href");
  const answer = await page.request.get(address ?? "");
  expect(await answer.text()).toContain("POST /v1/ocr/0");
});

test("given a period, when another is chosen, then the picker of the time says so, and a chosen time takes its place", async ({ page }) => {
  await page.goto("/usage");
  await page.getByRole("link", { name: "7 days" }).click();
  await expect(page).toHaveURL(/period=7d/);
  await page.getByRole("button", { name: "7 days" }).click();
  await page.getByRole("button", { name: "Last 6 h" }).click();
  await expect(page).toHaveURL(/start=now-6h/);
  await expect(page.getByText("Chosen time")).toBeVisible();
  await page.getByRole("link", { name: "This month" }).click();
  await expect(page).not.toHaveURL(/start=/);
});

test("given the proof, then it holds with its numbers, and a changed one does not", async ({ page }) => {
  await page.goto("/usage?view=proof");
  await expect(page.getByText("Every span is accounted for, and nothing was changed since it was signed.")).toBeVisible();
  await expect(page.getByRole("row", { name: /Signature \(Ed25519\) holds/ })).toBeVisible();
  await expect(page.getByRole("row", { name: /Spans = counted \+ duplicates \+ rejected holds/ })).toBeVisible();
  await page.route("**/api/v1/usage/proof*", async (route) => {
    const answer = await route.fetch();
    const proof = await answer.json();
    proof.rows[0].calls += 1;
    await route.fulfill({ response: answer, json: proof });
  });
  await page.reload();
  await expect(page.getByRole("alert")).toContainText("This proof does not hold.");
  for (const check of ["Signature (Ed25519)", "Hash of the rows (SHA-256)", "Calls of the rows = counted in the period"]) {
    await expect(page.getByRole("row").filter({ hasText: check })).toContainText("fails");
  }
});

test("given a month that is not over, when its statement is issued, then weir says until when to wait", async ({ page }) => {
  await page.goto("/usage?view=statements&tenant=acme&tz=UTC");
  await page.getByRole("button", { name: "Issue a statement…" }).click();
  const dialog = page.getByRole("dialog", { name: "Issue a statement" });
  await expect(dialog).toContainText("for good");
  const month = new Date().toISOString().slice(0, 7);
  await dialog.getByLabel("Month").fill(month);
  await dialog.getByRole("button", { name: `Close ${month} of acme` }).click();
  await expect(dialog.getByRole("alert")).toContainText("usage is complete up to");
});

test("given quotas, then what is left is shown, the fullest first", async ({ page }) => {
  const resets_at = new Date(Date.now() + 72e5).toISOString();
  await page.route("**/api/v1/quotas/*", (route) => {
    const tenant = route.request().url().split("/").at(-1) ?? "";
    const used = tenant === "acme" ? 120 : 20;
    const quotas = [{ quota: "calls", per: "day", limit: 100, used, remaining: Math.max(0, 100 - used), resets_at }];
    return route.fulfill({ json: { tenant, quotas, age_seconds: 1, complete_until: new Date().toISOString() } });
  });
  await page.goto("/usage?view=quotas");
  const rows = page.getByRole("region", { name: "Quotas" }).getByRole("row");
  await expect(rows.nth(1)).toContainText(/acme.*Calls a day.*used up/);
  await expect(rows.filter({ hasText: "globex" })).toContainText(/globex.*20%.*80/);
});

test("given a store that cannot be read, then the page shows what weir says and tries again", async ({ page }) => {
  await page.route("**/api/v1/usage?*", (route) => route.fulfill({ status: 503, json: { status: 503, title: "busy", detail: "the usage store cannot be read now" } }));
  await page.goto("/usage");
  await expect(page.getByRole("alert")).toContainText("the usage store cannot be read now");
  await page.unroute("**/api/v1/usage?*");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("link", { name: "acme" })).toBeVisible();
});
