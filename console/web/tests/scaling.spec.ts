import { expect, test } from "./setup";

const at = (seconds: number) => new Date(Date.now() + seconds * 1e3).toISOString();

function scaler(changes: object) {
  const history = [-120, -90, -60, -30].map((seconds, place) => ({ time: at(seconds), value: place === 2 ? null : 4 + place, error: place === 2 ? "the data are late" : null, target: 5 }));
  return {
    kind: "keda",
    namespace: "team-a",
    name: "ocr",
    tenant: "acme",
    metric: "calls",
    query: "sum(rate(weir_calls_total[1m]))",
    selector: "",
    target: 5,
    activation_target: 0,
    first_asked: at(-600),
    last_asked: at(-3),
    asked: 40,
    value: 7,
    active: true,
    error: null,
    event_time: at(-4),
    changes: [],
    history,
    ...changes,
  };
}

test("given nobody who asks, then it is said how KEDA and an HPA are connected", async ({ page }) => {
  await page.route("**/api/v1/scaling*", (route) => route.fulfill({ json: { scalers: [] } }));
  await page.goto("/scaling");
  await expect(page.getByText("kind: ScaledObject")).toBeVisible();
  await page.getByRole("link", { name: "External metrics (HPA)" }).click();
  await expect(page.getByText("kind: HorizontalPodAutoscaler")).toBeVisible();
  await expect(page).toHaveURL(/connect=hpa/);
});

test("given scalers, then errors come first, and each is shown over time against its target", async ({ page }) => {
  const markup = "<img src=x onerror=alert(1)>";
  const scalers = [
    scaler({}),
    scaler({ name: "queue", value: null, active: null, error: `there are no data: ${markup}` }),
    scaler({ name: "old", last_asked: at(-3600) }),
  ];
  await page.route("**/api/v1/scaling*", (route) => route.fulfill({ json: { scalers } }));
  await page.goto("/scaling");
  await expect(page.getByText("3 scalers: 1 with errors, 1 above target.")).toBeVisible();
  const rows = page.getByRole("region", { name: "Scalers" }).getByRole("row");
  await expect(rows.nth(1)).toContainText("team-a/queue");
  await expect(rows.nth(1)).toContainText(markup);
  await expect(rows.nth(2)).toContainText("stopped asking");
  await page.getByRole("link", { name: "team-a/ocr" }).click();
  await expect(page.getByRole("figure", { name: "Answers to team-a/ocr over time" })).toBeVisible();
  await expect(page.getByRole("region", { name: "Answers" })).toContainText("the data are late");
  await page.goBack();
  await page.getByRole("link", { name: "team-a/queue" }).click();
  await expect(page.getByRole("alert")).toContainText("by which nothing is scaled");
});

test("given an alerter that does not answer, then its error is shown", async ({ page }) => {
  await page.route("**/api/v1/scaling*", (route) => route.fulfill({ status: 502, json: { status: 502, title: "", detail: "the role alerter does not answer" } }));
  await page.goto("/scaling");
  await expect(page.getByRole("alert")).toContainText("the role alerter does not answer");
});
