import { expect, sendLines, test } from "./setup";

const MARKUP = `<img src=x onerror="window.weirxss=1"><script>window.weirxss=1</script><a href="javascript:window.weirxss=1">x</a>`;

test("given bodies, attributes and names full of markup, then they are text on every page", async ({ page }) => {
  const at = Date.now() - 5 * 36e5;
  const service = `evil${MARKUP}`;
  await sendLines(
    page,
    [
      { at, service, body: `marker-markup ${MARKUP}`, attributes: { [`key${MARKUP}`]: MARKUP, url: "javascript:alert(1)" } },
      { at: at + 1, service, body: "marker-ansi \u001b[31mred\u001b[0m \u001b]8;;http://127.0.0.1/\u0007link\u001b]8;;\u0007 \u0000\u0007\u202eend" },
      { at: at + 2, service, body: `marker-long ${"x".repeat(1_000_000)}` },
      { at: at + 3, service, body: `marker-json {"a":"${"</script>".repeat(3)}"}`, severity: 17 },
    ],
    { "host.name": MARKUP, "k8s.pod.name": MARKUP },
  );
  const stretch = `start=${new Date(at - 6e5).toISOString()}&end=${new Date(at + 6e5).toISOString()}`;
  await page.goto(`/logs?${stretch}`);
  await expect(page.getByText("marker-markup").first()).toBeVisible();
  await page.getByText("marker-markup").first().click();
  await expect(page.getByText("onerror=").filter({ visible: true }).nth(1)).toBeVisible();
  await page.getByText("marker-long").first().click();
  for (const path of ["/", "/traces", "/interfaces", "/alerts?tab=history", "/gpus", "/usage", "/data", "/scaling", "/status"]) {
    await page.goto(`${path}${path.includes("?") ? "&" : "?"}${stretch}`);
    await expect(page.locator("main")).not.toBeEmpty();
  }
  await page.goto(`/logs?${stretch}&query=${encodeURIComponent(MARKUP)}`);
  await expect(page.getByText("is read as words").first()).toBeVisible();
  expect(await page.evaluate(() => "weirxss" in window)).toBe(false);
  expect(await page.locator("img, main script, [onerror], a[href^='javascript']").count()).toBe(0);
});
