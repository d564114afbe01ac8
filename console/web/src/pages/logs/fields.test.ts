import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hit } from "../../lib/types/logs";
import { all, field } from "./fields";

const hit: Hit = { id: "0-0-0", timestamp: "t", tenant: "acme", service: "ocr", severity: "INFO", body: { user: { id: 7 } }, trace_id: "", span_id: "", resource: { "host.name": "a" }, attributes: { http: { "status.code": 200 }, n: null, list: [1, 2] } };

test("fields are found by their names, nested ones too", () => {
  assert.equal(field(hit, "service"), "ocr");
  assert.equal(field(hit, "resource.host.name"), "a");
  assert.equal(field(hit, "host.name"), "a");
  assert.equal(field(hit, "attributes.http.status.code"), "200");
  assert.equal(field(hit, "body.user.id"), "7");
  assert.equal(field(hit, "toString"), null);
  assert.equal(field(hit, "trace_id"), null);
});

test("all fields are listed flat", () => {
  assert.deepEqual(all(hit).map(([name]) => name), ["timestamp", "tenant", "service", "severity", "attributes.http.status.code", "attributes.n", "attributes.list", "resource.host.name", "body.user.id"]);
});
