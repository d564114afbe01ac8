import assert from "node:assert/strict";
import { test } from "node:test";
import { traceIdIn } from "./ids";

test("a trace id is found as people paste it", () => {
  const id = "4bf92f3577b34da6a3ce929d0e0e4736";
  for (const text of [id, ` ${id.toUpperCase()}\n`, `00-${id}-00f067aa0ba902b7-01`, `https://weir.example/traces/${id}?span=1`]) {
    assert.equal(traceIdIn(text), id);
  }
  for (const text of ["", "4bf92f", `${id}0`, `trace_id:${id}`]) assert.equal(traceIdIn(text), null);
});
