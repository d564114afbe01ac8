//! Signing in with Keycloak and with a token, on a weir that knows the tenants acme and globex; alice and the token are
//! viewers of acme.
import type { Page } from "@playwright/test";
import { expect, test } from "./setup";

const PAGES = ["/", "/logs", "/traces", "/interfaces", "/alerts", "/gpus", "/usage", "/data", "/scaling", "/status"];

function known(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

/** Opens every page, and looks for what is of the other tenant in all that is shown and in all that was answered. */
async function seesAcmeAlone(page: Page) {
  const leaks: string[] = [];
  page.on("response", async (answer) => {
    // The page itself names tenants in examples.
    if (new URL(answer.url()).pathname.startsWith("/assets/")) return;
    const text = await answer.text().catch(() => "");
    if (answer.ok() && /globex/i.test(text)) leaks.push(answer.url());
  });
  for (const path of PAGES) {
    await page.goto(`${path}?start=now-1h`);
    await expect(page.locator("main > *").first()).toBeVisible();
    await page.waitForTimeout(700);
    expect(await page.evaluate(() => document.body.innerText), path).not.toMatch(/globex/i);
  }
  expect(leaks).toEqual([]);
  await page.goto("/logs?start=now-1h");
  await expect(page.getByText("line of acme").first()).toBeVisible();
  await page.goto("/logs?start=now-1h&tenant=globex");
  await expect(page.getByText(/globex/).first()).toBeVisible();
  await expect(page.getByText("line of globex")).toHaveCount(0);
}

test("given a Keycloak user, when they sign in, then they see their tenant alone, and nothing once signed out", async ({ page }) => {
  await page.goto("/logs?query=line");
  await page.getByRole("link", { name: "Sign in with your organisation" }).click();
  await page.locator("#username").fill(known("WEIR_USER"));
  await page.locator("#password").fill(known("WEIR_PASSWORD"));
  await page.locator("#kc-login").click();
  await expect(page).toHaveURL(/\/logs\?query=line/);
  await expect(page.getByText("line of acme").first()).toBeVisible();
  const [cookie] = (await page.context().cookies()).filter(({ name }) => name.endsWith("weir_session"));
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", path: "/" });
  await seesAcmeAlone(page);
  await page.goto("/");
  await page.getByRole("button", { name: /Sign out/ }).click();
  await page.waitForTimeout(1000);
  await page.goto("/logs");
  await expect(page.getByRole("link", { name: "Sign in with your organisation" })).toBeVisible();
  expect((await page.request.get("/api/v1/logs/search")).status()).toBe(401);
});

test("given a token, when it is wrong, then that is said; when it is right, then pages show its tenant, and what a viewer may not do is not there", async ({ page }) => {
  await page.goto("/");
  await page.getByLabel("Token").fill("weir_wrong");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await page.getByLabel("Token").fill(known("WEIR_TOKEN"));
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await seesAcmeAlone(page);
  await page.goto("/alerts?tab=silences");
  await expect(page.getByRole("button", { name: /New silence/ })).toHaveCount(0);
  const refused = await page.request.delete("/auth/session", { headers: { "sec-fetch-site": "cross-site" } });
  expect(refused.status()).toBe(403);
});
