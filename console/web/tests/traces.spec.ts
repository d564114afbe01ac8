import { expect, sendLines, test } from "./setup";
import { hex, newTraceId, sendTrace, type SpanOf } from "./spans";

/** A call through three services, the last of which fails. */
function call(at: number, service = "shop"): SpanOf[] {
  return [
    { id: hex(1, 16), name: "POST /buy", service, at, length: 900, kind: "server" },
    { id: hex(2, 16), parent: hex(1, 16), name: "reserve", service, at: at + 100, length: 700, kind: "client" },
    { id: hex(3, 16), parent: hex(2, 16), name: "POST /reserve", service: "stock", at: at + 120, length: 660, kind: "server", error: "no such item", attributes: { "item.colour": "aquamarine" } },
    { id: hex(4, 16), parent: hex(3, 16), name: "SELECT", service: "stock", at: at + 200, length: 100 },
  ];
}

test("given a failing call, when its service is searched for errors, then its spans, attributes, path and lines are shown", async ({ page }) => {
  const id = newTraceId();
  const at = Date.now() - 5000;
  await sendTrace(page, id, call(at));
  await sendLines(page, [{ body: "the item is gone", at: at + 300, severity: 17, service: "stock-log", trace: id }]);
  await page.goto("/traces");
  await page.getByLabel("Service", { exact: true }).selectOption("stock");
  await page.getByLabel("Status").selectOption("error");
  await expect(page).toHaveURL(/service=stock.*status=error/);
  await page.getByRole("row", { name: /shop POST \/buy/ }).first().getByRole("link").click();
  await expect(page).toHaveURL(new RegExp(`/traces/${id}`));
  const tree = page.getByRole("tree", { name: "Spans over time" });
  await expect(tree.getByRole("treeitem")).toHaveCount(4);
  const panel = page.getByRole("complementary", { name: "Span" });
  await expect(panel).toContainText("no such item");
  await expect(panel).toContainText("aquamarine");
  await expect(page.getByRole("heading", { name: "Critical path" })).toBeVisible();
  await expect(page.getByRole("link", { name: "the item is gone" })).toBeVisible();
  await page.goBack();
  await expect(page).toHaveURL(/service=stock.*status=error/);
});

test("given a trace, when keys are pressed, then spans are selected, folded and found", async ({ page }) => {
  const id = newTraceId();
  await sendTrace(page, id, call(Date.now() - 5000));
  await page.goto(`/traces/${id}`);
  const rows = page.getByRole("treeitem");
  await expect(rows).toHaveCount(4);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await expect(page).toHaveURL(new RegExp(`span=${hex(2, 16)}`));
  await page.keyboard.press("ArrowLeft");
  await expect(rows).toHaveCount(2);
  await page.keyboard.press("ArrowRight");
  await expect(rows).toHaveCount(4);
  await page.keyboard.press("/");
  await page.keyboard.type("aquamarine");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`span=${hex(3, 16)}.*find=aquamarine`));
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("complementary", { name: "Span" })).toBeHidden();
  await page.keyboard.press("+");
  await expect(page).toHaveURL(/zoom=/);
  await page.getByRole("button", { name: "Whole trace" }).click();
  await expect(page).not.toHaveURL(/zoom=/);
});

test("given 12,000 spans, when the trace is opened, then only rows in sight are in the page and any span is found", async ({ page }) => {
  const id = newTraceId();
  const at = Date.now() - 60_000;
  const spans = Array.from({ length: 12_000 }, (_, n): SpanOf => ({ id: hex(n + 1, 16), parent: n ? hex(Math.floor((n - 1) / 8) + 1, 16) : "", name: `step ${n}`, service: `s${n % 7}`, at: at + n, length: Math.max(1, 12_000 - n) }));
  await sendTrace(page, id, spans);
  await page.goto(`/traces/${id}`);
  await expect(page.getByText("Spans 12,000")).toBeVisible({ timeout: 30_000 });
  expect(await page.getByRole("treeitem").count()).toBeLessThan(120);
  await page.getByRole("searchbox", { name: "Find in this trace" }).fill("step 11987");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("treeitem", { selected: true })).toContainText("step 11987");
});

test("given spans full of markup, without parents and with clocks that are off, then they are shown as text", async ({ page }) => {
  const id = newTraceId();
  const at = Date.now() - 5000;
  const markup = "<img src=x onerror=alert(1)>";
  page.on("dialog", (dialog) => {
    throw new Error(dialog.message());
  });
  await sendTrace(page, id, [
    { id: hex(1, 16), name: markup, service: "odd", at, length: 100, error: `<b>${markup}`, attributes: { [markup]: markup, long: "x".repeat(200_000) } },
    { id: hex(2, 16), parent: hex(99, 16), name: "orphan", service: "odd", at: at + 10, length: 10 },
    { id: hex(3, 16), parent: hex(4, 16), name: "circle", service: "odd", at: at + 10, length: 10 },
    { id: hex(4, 16), parent: hex(3, 16), name: "circle", service: "odd", at: at + 10, length: 10 },
    { id: hex(5, 16), parent: hex(1, 16), name: "ahead", service: "odd", at: at + 2000, length: 10 },
  ]);
  await page.goto(`/traces/${id}?span=${hex(1, 16)}`);
  await expect(page.getByRole("treeitem")).toHaveCount(5);
  const panel = page.getByRole("complementary", { name: "Span" });
  await expect(panel.getByText(markup).first()).toBeVisible();
  await panel.getByRole("button", { name: /Show all 200 kB/ }).click();
  await expect(panel.getByRole("button", { name: /Show all/ })).toBeHidden();
});

test("given an id that is not known, then it says so and takes another", async ({ page }) => {
  const id = newTraceId();
  await sendTrace(page, id, call(Date.now() - 5000));
  await page.goto(`/traces/${"0".repeat(31)}1`);
  await expect(page.getByRole("heading", { name: "No span of this trace is known." })).toBeVisible();
  const box = page.getByRole("textbox", { name: "Trace ID" });
  await box.fill("4bf92f");
  await page.getByRole("button", { name: "Open" }).click();
  await expect(page.getByRole("alert")).toContainText("32 hexadecimal digits");
  await box.fill(`00-${id}-00f067aa0ba902b7-01`);
  await page.getByRole("button", { name: "Open" }).click();
  await expect(page.getByRole("treeitem")).toHaveCount(4);
});

test("given a query that cannot be read, then the API's own words are shown", async ({ page }) => {
  await page.goto("/traces");
  await page.getByRole("searchbox", { name: /Query over attributes/ }).fill("a AND (");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert")).toContainText("at byte 7");
  await page.getByRole("button", { name: "Clear" }).click();
  await expect(page.getByRole("alert")).toBeHidden();
});

test("given traces, when the scatter is dragged, then time and durations are narrowed", async ({ page }) => {
  await sendTrace(page, newTraceId(), call(Date.now() - 60_000));
  await page.goto("/traces");
  const scatter = page.getByRole("img", { name: /traces by start and duration/ });
  const box = await scatter.boundingBox();
  if (!box) throw new Error("no scatter");
  await page.mouse.move(box.x + box.width * 0.5, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.98, box.y + 140, { steps: 4 });
  await page.mouse.up();
  await expect(page).toHaveURL(/start=.*min_duration=.*max_duration=/);
});
