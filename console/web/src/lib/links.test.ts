import assert from "node:assert/strict";
import { test } from "node:test";
import { isPage } from "./links";

const FROM = new URL("http://weir:7400/logs?query=a");
const is = (to: string) => isPage(new URL(to, FROM), FROM);

test("pages are followed, what the server answers is not", () => {
  assert.deepEqual(["/logs?query=b", "/", "/interfaces?service=a", "/apis"].map(is), [true, true, true, true]);
  assert.deepEqual(["/auth/login?return=%2F", "/auth/callback", "/api/v1/usage?format=csv", "/prometheus/api/v1/query"].map(is), [false, false, false, false]);
});

test("other origins and places on the same page are the browser's", () => {
  assert.deepEqual(["https://idp/auth", "javascript:alert(1)", "mailto:a@b", "#main"].map(is), [false, false, false, false]);
});
