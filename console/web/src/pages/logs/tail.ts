//! Live lines: events of the server as they come, and a window of the newest. A line is parsed when it is shown.
import type { Hit } from "../../lib/types/logs";

/** Lines that are kept. */
export const WINDOW = 10_000;

/** Characters that are kept: of lines as long as prompts, fewer are. */
const MOST_CHARACTERS = 32 << 20;

/** A line as it came. */
export interface TailLine {
  /** JSON of a hit. */
  raw: string;
  hit?: Hit;
  /** Characters as it came. */
  size: number;
}

/** What a chunk of the stream held. */
export interface Chunk {
  lines: TailLine[];
  /** Lines that the server had to leave out. */
  missed: number;
}

/** Bytes that are split at once: a few milliseconds of work. */
const PIECE = 64 << 10;

/** Splits a stream of server-sent events, which comes in pieces cut anywhere. */
export class Events {
  private decoder = new TextDecoder();
  private rest = "";

  feed(bytes: Uint8Array): Chunk {
    const chunk: Chunk = { lines: [], missed: 0 };
    for (let at = 0; at < bytes.length; at += PIECE) this.split(this.decoder.decode(bytes.subarray(at, at + PIECE), { stream: true }), chunk);
    return chunk;
  }

  private split(text: string, chunk: Chunk) {
    const all = this.rest ? this.rest + text : text;
    let at = 0;
    for (let end = all.indexOf("\n\n"); end >= 0; end = all.indexOf("\n\n", at)) {
      if (all.startsWith("data: ", at)) chunk.lines.push({ raw: all.slice(at + 6, end), size: end - at - 6 });
      else if (all.startsWith("event: missed", at)) chunk.missed += missedOf(all.slice(at, end));
      at = end + 2;
    }
    this.rest = all.slice(at);
  }
}

function missedOf(event: string): number {
  return Number(/"lines":\s*(\d+)/.exec(event)?.[1] ?? 0);
}

/** What the window holds, for one drawing. */
export interface Shown {
  lines: TailLine[];
  /** Lines that have come since the start. */
  total: number;
  missed: number;
}

/** The newest lines, oldest first. */
export class Tail {
  private kept: TailLine[] = [];
  private size = 0;
  private total = 0;
  private missed = 0;

  take({ lines, missed }: Chunk) {
    this.total += lines.length;
    this.missed += missed;
    for (const line of lines) {
      this.kept.push(line);
      this.size += line.size;
    }
    // Twice what is shown, so that the list is not moved for every chunk.
    if (this.kept.length > 2 * WINDOW || this.size > 2 * MOST_CHARACTERS) this.cut();
  }

  private cut() {
    const least = Math.max(0, this.kept.length - WINDOW);
    let from = this.kept.length;
    this.size = 0;
    for (; from > least; from -= 1) {
      const size = this.kept[from - 1]?.size ?? 0;
      // The newest is kept, however long.
      if (from < this.kept.length && this.size + size > MOST_CHARACTERS) break;
      this.size += size;
    }
    this.kept = this.kept.slice(from);
  }

  /** Lines that were there before the first one came; those that came since are not repeated. */
  begin(hits: Hit[]) {
    const known = new Set(this.kept.slice(0, 2000).map((line) => hitOf(line)?.id));
    const older = hits.filter((hit) => !known.has(hit.id)).map((hit): TailLine => ({ raw: "", hit, size: 0 }));
    this.kept = [...older, ...this.kept].slice(-WINDOW);
  }

  shown(): Shown {
    return { lines: this.kept.slice(-WINDOW), total: this.total, missed: this.missed };
  }
}

/** A line's record; undefined where the server sent what is none. */
export function hitOf(line: TailLine | undefined): Hit | undefined {
  if (!line) return undefined;
  if (!line.hit && line.raw) {
    try {
      line.hit = JSON.parse(line.raw) as Hit;
    } catch {
      line.hit = { id: "", timestamp: "", tenant: "", service: "", severity: "", body: line.raw, trace_id: "", span_id: "", resource: {}, attributes: {} };
    }
    line.raw = "";
  }
  return line.hit;
}
