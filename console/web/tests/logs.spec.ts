import { expect, sendLines, test } from "./setup";

const START = "now-1h";

/** A service of its own for each test, so that the demo's lines and other tests' are not in the way. */
function ownService(): string {
  return `logs-${Math.random().toString(36).slice(2, 10)}`;
}

test("given lines, when the page is opened, then the newest are there unasked, with their counts and filters", async ({ page }) => {
  await page.goto("/logs");
  const lines = page.getByRole("region", { name: "Log lines" });
  await expect(lines.getByRole("link").first()).toBeVisible();
  await expect(page.getByText(/^[\d,]+ lines$/)).toBeVisible();
  await expect(page.getByRole("figure", { name: "Lines over time by severity" })).toBeVisible();
  await expect(page.getByRole("complementary", { name: "Filters" }).getByRole("link", { name: /^INFO/ })).toBeVisible({ timeout: 40_000 });
});

test("given a query, when it is written, then fields and values are suggested, and Enter searches", async ({ page }) => {
  const service = ownService();
  await sendLines(page, [{ body: "the needle is here", at: Date.now(), service }, { body: "only hay", at: Date.now(), service }]);
  await page.goto(`/logs?start=${START}`);
  const query = page.getByRole("combobox", { name: "Query" });
  await expect(query).toBeVisible();
  await page.keyboard.press("/");
  await expect(query).toBeFocused();
  await page.keyboard.type("serv");
  await expect(page.getByRole("option", { name: /^service / })).toBeVisible();
  await page.keyboard.press("Tab");
  await expect(query).toHaveValue("service:");
  await page.keyboard.type(service.slice(0, 8));
  await expect(page.getByRole("option", { name: new RegExp(service) })).toBeVisible();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.keyboard.type("needle");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/query=service%3A\S+needle/);
  await expect(page.getByText("1 line", { exact: true })).toBeVisible();
  await expect(page.locator("mark", { hasText: "needle" })).toBeVisible();
  await page.goBack();
  await expect(query).toHaveValue("");
});

test("given a wrong query, then the error stands at the character, and a hint offers what may be meant", async ({ page }) => {
  await page.goto(`/logs?query=${encodeURIComponent("推理 AND (")}`);
  await expect(page.getByRole("alert")).toContainText("at byte 12");
  await expect(page.getByRole("combobox", { name: "Query" })).toHaveAttribute("aria-invalid", "true");
  await page.goto(`/logs?query=${encodeURIComponent("a or b")}`);
  await page.getByRole("link", { name: "Search for a OR b" }).click();
  await expect(page.getByRole("combobox", { name: "Query" })).toHaveValue("a OR b");
});

test("given a line, when it is opened by keys, then its fields, its context and its trace are a key or a click away", async ({ page }) => {
  const service = ownService();
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const at = Date.now() - 60_000;
  const bodies = Array.from({ length: 30 }, (_, of) => ({ body: of === 15 ? `failed trace_id=${trace}` : `step ${of}`, at: at + of, service, attributes: { step: String(of) } }));
  await sendLines(page, bodies);
  await page.goto(`/logs?start=${START}&query=${encodeURIComponent(`service:${service} AND failed`)}`);
  await expect(page.getByText("1 line", { exact: true })).toBeVisible();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  const line = page.getByRole("complementary", { name: "Log line" });
  await expect(line.getByRole("link", { name: "Trace" })).toHaveAttribute("href", new RegExp(`/traces/${trace}`));
  await expect(page).toHaveURL(/line=/);
  await line.getByRole("link", { name: "Context" }).click();
  await expect(line.getByText("step 14")).toBeVisible();
  await expect(line.getByText("step 16")).toBeVisible();
  await page.reload();
  await expect(line.getByText("step 14")).toBeVisible();
  await line.getByRole("link", { name: "JSON" }).click();
  await expect(line.getByLabel("JSON")).toContainText('"step": "15"');
  await line.getByRole("link", { name: "Fields" }).click();
  await line.getByRole("link", { name: "Show attributes.step as a column" }).click();
  await expect(page.getByRole("link", { name: "Remove column attributes.step" }).first()).toBeVisible();
  await line.getByRole("link", { name: "Exclude 15" }).click();
  await expect(page).toHaveURL(/NOT\+attributes\.step/);
  await page.goBack();
  await page.keyboard.press("Escape");
  await expect(line).toBeHidden();
});

test("given filters, when values are clicked, then they are asked for, joined, excluded, and let go of", async ({ page }) => {
  const service = ownService();
  const at = Date.now() - 60_000;
  await sendLines(page, [9, 9, 13, 17].map((severity, of) => ({ body: `line ${of}`, at: at + of, service, severity })));
  await page.goto(`/logs?start=${START}&query=service:${service}`);
  const filters = page.getByRole("complementary", { name: "Filters" });
  const query = page.getByRole("combobox", { name: "Query" });
  await filters.getByRole("link", { name: /^ERROR 1/ }).click();
  await expect(query).toHaveValue(`service:${service} AND severity:ERROR`);
  await expect(page.getByText("1 line", { exact: true })).toBeVisible();
  await filters.getByRole("link", { name: /^WARN 1/ }).click();
  await expect(query).toHaveValue(`service:${service} AND severity:(ERROR OR WARN)`);
  await filters.getByRole("link", { name: /^INFO 2/ }).click({ modifiers: ["Alt"] });
  await expect(query).toHaveValue(/NOT severity:INFO/);
  await expect(page.getByText("2 lines", { exact: true })).toBeVisible();
});

test("given no line in the time, then the newest there is is offered", async ({ page }) => {
  await page.goto("/logs?start=2020-01-01T00:00:00Z&end=2020-01-01T01:00:00Z");
  await page.getByRole("link", { name: "Show lines around it" }).click();
  await expect(page.getByRole("region", { name: "Log lines" }).getByRole("link").first()).toBeVisible();
  await page.goto("/logs?query=service:no-such-service-at-all");
  await expect(page.getByText("No line of any time matches.")).toBeVisible();
});

test("given live lines, when one pauses, then what is shown stays and new lines are counted", async ({ page }) => {
  const service = ownService();
  await page.goto(`/logs?query=service:${service}`);
  await sendLines(page, [{ body: "before", at: Date.now(), service }]);
  await expect(page.getByRole("button", { name: "Live" })).toBeVisible();
  await page.keyboard.press("t");
  await expect(page).toHaveURL(/live=1/);
  await expect(page.getByText("Following")).toBeVisible();
  await sendLines(page, [{ body: "during", at: Date.now(), service }]);
  const lines = page.getByRole("region", { name: "Log lines" });
  await expect(lines.getByText("during")).toBeVisible();
  await page.keyboard.press(" ");
  await sendLines(page, [{ body: "meanwhile", at: Date.now(), service }]);
  await expect(page.getByRole("button", { name: "1 new line" })).toBeVisible();
  await expect(lines.getByText("meanwhile")).toBeHidden();
  await page.getByRole("button", { name: "1 new line" }).click();
  await expect(lines.getByText("meanwhile")).toBeVisible();
});

test("given lines, when they are exported, then all that match are in the file", async ({ page }) => {
  const service = ownService();
  const at = Date.now() - 60_000;
  await sendLines(page, Array.from({ length: 300 }, (_, of) => ({ body: `row ${of}`, at: at + of, service })));
  await page.goto(`/logs?start=${START}&query=service:${service}`);
  await expect(page.getByText("300 lines", { exact: true })).toBeVisible();
  await page.keyboard.press("e");
  await expect(page.getByText(/^All 300 lines that match are exported/)).toBeVisible();
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download CSV" }).click();
  const chunks = [];
  for await (const chunk of await (await download).createReadStream()) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString().trim().split("\n")).toHaveLength(301);
});

test("given a search, when it is saved, then it is found by its name with its columns and time", async ({ page }) => {
  await page.goto(`/logs?start=now-3h&query=severity:INFO&columns=tenant`);
  await page.getByRole("button", { name: "Saved searches" }).click();
  await page.getByLabel("Name").fill("what is well");
  await page.getByRole("button", { name: "Save this search" }).click();
  await page.goto("/logs");
  await page.getByRole("button", { name: "Saved searches" }).click();
  await page.getByRole("link", { name: "what is well" }).click();
  await expect(page).toHaveURL(/columns=tenant/);
  await expect(page.getByRole("combobox", { name: "Query" })).toHaveValue("severity:INFO");
  await expect(page.getByRole("button", { name: "Last 3 h" })).toBeVisible();
});
