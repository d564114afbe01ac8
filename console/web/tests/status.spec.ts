import { expect, test } from "./setup";

test("given the demo, then one sentence says that all is well, and every room how far it is", async ({ page }) => {
  await page.goto("/status");
  await expect(page.getByText(/Everything is read up to \d\d:\d\d:\d\d; nothing is lost; nothing waits\./)).toBeVisible({ timeout: 40_000 });
  for (const room of ["Logs", "Spans", "Metrics", "Alerts", "Usage"]) {
    await expect(page.getByRole("row", { name: new RegExp(`^${room} in sync`) })).toBeVisible();
  }
  await expect(page.getByRole("region", { name: "Collectors" }).getByRole("row").nth(1)).toContainText("up");
});

test("given roles that are away and collectors that lost something, then the worst is said first", async ({ page }) => {
  const role = { url: "http://127.0.0.1:1", reachable: true, ready: true, waiting_for: {}, degraded: {}, version: "1", error: null };
  await page.route("**/api/v1/roles*", (route) =>
    route.fulfill({ json: { roles: [{ ...role, role: "indexer", ready: false, waiting_for: { bus: "away" } }, { ...role, role: "usage", reachable: false, error: "connection refused" }] } }),
  );
  const markup = "/var/log/<img src=x onerror=alert(1)>.log";
  await page.route("**/prometheus/api/v1/query?*", (route) => {
    const query = new URL(route.request().url()).searchParams.get("query") ?? "";
    const series = (value: number, more: Record<string, string> = {}) => ({ metric: { service_instance_id: "b", host_name: "node-b", tenant: "acme", ...more }, value: [Date.now() / 1e3, String(value)] });
    const answers: [RegExp, object[]][] = [
      [/^weir_collector_up$/, [{ metric: { collector: "b", host: "node-b" }, value: [0, "0"] }]],
      [/^increase/, [series(4096, { reason: "truncated" })]],
      [/source_read/, [series(9e6)]],
      [/source_lost/, [series(4096, { reason: "truncated" })]],
      [/source_waiting_bytes/, [series(5e6)]],
      [/source_waiting_time/, [series(90)]],
      [/file_waiting_bytes/, [series(5e6, { log_file_path: markup })]],
      [/file_waiting_time/, [series(90, { log_file_path: markup })]],
      [/uptime/, [series(60, { service_version: "0.0.1" }), series(60, { service_instance_id: "c", host_name: "node-c", service_version: "0.0.2" })]],
    ];
    const result = answers.find(([name]) => name.test(query))?.[1] ?? [];
    return route.fulfill({ json: { status: "success", data: { resultType: "vector", result } } });
  });
  await page.goto("/status");
  const verdict = page.getByRole("alert");
  await expect(verdict).toContainText("Problems: 3");
  const said = verdict.getByRole("listitem");
  await expect(said.nth(0)).toHaveText("usage does not answer: connection refused");
  await expect(said.nth(1)).toHaveText("The collector of node-b is silent.");
  await expect(said.nth(2)).toHaveText("node-b lost 4.1 kB in this time: truncated before it was read.");
  await expect(verdict).toContainText("indexer is not ready: bus: away");
  await expect(verdict).toContainText("node-b: 5 MB wait to be sent, the oldest for 1 min 30 s.");
  await expect(verdict).toContainText("Collectors run different versions");
  await expect(page.getByRole("region", { name: "Files that wait or lost something" })).toContainText(markup);
  await page.getByRole("searchbox").fill("nothing-like-it");
  await expect(page.getByText("No such file waits or has lost anything.")).toBeVisible();
});

test("given a room that cannot be asked, then that is said and the others are shown", async ({ page }) => {
  await page.route("**/api/v1/traces/search?*", (route) => route.fulfill({ status: 503, json: { status: 503, title: "", detail: "the index cannot be read" } }));
  await page.goto("/status");
  await expect(page.getByText("Spans cannot be asked: the index cannot be read")).toBeVisible();
  await expect(page.getByRole("row", { name: /^Logs in sync/ })).toBeVisible();
});
