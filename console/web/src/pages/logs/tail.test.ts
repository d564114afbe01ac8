import assert from "node:assert/strict";
import { test } from "node:test";
import { Events, Tail, WINDOW, hitOf } from "./tail";

test("events are whole, wherever the stream is cut", () => {
  const stream = new TextEncoder().encode('data: {"id":"1"}\n\n:\n\nevent: missed\ndata: {"lines":7}\n\ndata: {"id":"二"}\n\n');
  for (let cut = 0; cut <= stream.length; cut += 1) {
    const events = new Events();
    const chunks = [events.feed(stream.slice(0, cut)), events.feed(stream.slice(cut))];
    assert.deepEqual(chunks.flatMap((chunk) => chunk.lines.map((line) => hitOf(line)?.id)), ["1", "二"]);
    assert.equal(chunks.reduce((sum, chunk) => sum + chunk.missed, 0), 7);
  }
});

test("the newest lines are kept, all are counted", () => {
  const tail = new Tail();
  for (let at = 0; at < 50; at += 1) tail.take({ lines: Array.from({ length: 1000 }, (_, of) => ({ raw: `{"id":"${at * 1000 + of}"}`, size: 14 })), missed: 1 });
  const { lines, total, missed } = tail.shown();
  assert.deepEqual([lines.length, total, missed], [WINDOW, 50_000, 50]);
  assert.equal(hitOf(lines[0])?.id, "40000");
  assert.equal(hitOf(lines.at(-1))?.id, "49999");
});

test("of long lines fewer are kept, and always the newest", () => {
  const tail = new Tail();
  for (let at = 0; at < 100; at += 1) tail.take({ lines: [{ raw: `{"id":"${at}"}`, size: 1 << 20 }], missed: 0 });
  const { lines, total } = tail.shown();
  assert.ok(lines.length >= 32 && lines.length <= 64, String(lines.length));
  assert.deepEqual([total, hitOf(lines.at(-1))?.id], [100, "99"]);
  tail.take({ lines: [{ raw: '{"id":"long"}', size: 100 << 20 }], missed: 0 });
  assert.deepEqual(tail.shown().lines.map((line) => hitOf(line)?.id), ["long"]);
});

test("what is no record is shown as it came", () => {
  assert.equal(hitOf({ raw: "{oops", size: 5 })?.body, "{oops");
});
