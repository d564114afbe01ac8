import { expect, test } from "./setup";

test("given a capture of a file, then its definition, columns and files are shown, and files can be had", async ({ page }) => {
  await page.goto("/data");
  await page.getByRole("link", { name: "slow-calls" }).click();
  await expect(page).toHaveURL(/capture=slow-calls/);
  await expect(page.getByText("- name: slow-calls")).toBeVisible();
  await expect(page.getByRole("row", { name: "ms float" })).toBeVisible();
  const file = page.getByRole("region", { name: "Files" }).getByRole("link").first();
  await expect(file).toHaveText(/\.jsonl\.zst$/, { timeout: 30_000 });
  const answer = await page.request.get((await file.getAttribute("href")) ?? "");
  expect(answer.status()).toBe(200);
});

test("given a form, when it is wrong, then the error is at its part; when it is right, then the capture is there until it is deleted", async ({ page }) => {
  const name = `console-test-${Date.now() % 1e6}`;
  await page.goto("/data");
  await page.getByRole("link", { name: "Define a capture" }).click();
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Query").fill("service:ocr AND");
  await page.getByRole("button", { name: "Create" }).click();
  await expect(page.getByRole("alert")).toContainText("tenants:");
  await page.getByLabel("Tenants").fill("acme");
  await page.getByRole("button", { name: "Create" }).click();
  await expect(page.getByRole("alert")).toContainText("query:");
  await page.getByLabel("Query").fill("service:ocr AND kind:server");
  await expect(page.getByText("query: 'service:ocr AND kind:server'")).toBeVisible();
  await page.getByRole("button", { name: "As a request" }).click();
  await expect(page.getByText('"query": "service:ocr AND kind:server"')).toBeVisible();
  await page.getByRole("button", { name: "Create" }).click();
  await expect(page).toHaveURL(new RegExp(`capture=${name}`));
  await page.getByRole("button", { name: "Delete…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(page).not.toHaveURL(/capture=/);
  // Its dataset stays, and takes no more rows.
  await expect(page.getByRole("row").filter({ hasText: name })).toContainText("ended");
});

test("given a preview, then ten rows are shown as text, and a weir without previews says so", async ({ page }) => {
  const markup = "<img src=x onerror=alert(1)>";
  await page.route("**/api/v1/captures/preview", (route) =>
    route.fulfill({
      json: {
        rows: [{ body: `${markup} [phone_cn] ${"x".repeat(20_000)}`, _tenant: "acme", n: null }],
        schema: [],
        scanned: 1200,
        matched: 1,
        from: "2026-11-30T13:00:00Z",
        until: "2026-11-30T13:15:00Z",
        complete: false,
        sample: { applied: [], not_applied: ["ratio"] },
      },
    }),
  );
  await page.goto("/data?define=new&source=logs&query=severity:error&tenant=acme");
  await expect(page.getByLabel("Query")).toHaveValue("severity:error");
  await page.getByRole("button", { name: "Preview ten rows" }).click();
  await expect(page.getByText("1 of 1,200 records match")).toContainText("Not applied in a preview: ratio");
  await expect(page.getByText(`${markup} [phone_cn]`)).toBeVisible();
  await page.getByRole("button", { name: /Show all 20,0/ }).click();
  await page.unroute("**/api/v1/captures/preview");
  await page.route("**/api/v1/captures/preview", (route) => route.fulfill({ status: 404, json: { status: 404, title: "", detail: "no such path" } }));
  await page.getByRole("button", { name: "Preview ten rows" }).click();
  await expect(page.getByText("This weir has no previews yet")).toBeVisible();
});

test("given a capture that does not exist, then it says so", async ({ page }) => {
  await page.goto("/data?capture=nowhere");
  await expect(page.getByRole("alert")).toContainText("there is no such capture");
  await page.getByRole("link", { name: "All captures" }).click();
  await expect(page.getByRole("heading", { name: "Captures" })).toBeVisible();
});
