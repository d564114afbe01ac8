//! The text of a line as it is shown: colours of terminals as classes, control characters as symbols, matches marked.

/** A stretch of text that looks alike. */
export interface Span {
  text: string;
  /** Classes of the colour; empty where it has none. */
  look: string;
  isMatch: boolean;
}

/** `ESC [ … m` and other sequences of terminals, and control characters but tab and line feed. */
const SPECIAL = /\x1b\[([0-9;:]*)([ -/]*[@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

interface Look {
  color: number | null;
  back: number | null;
  isBold: boolean;
  isFaint: boolean;
}

const PLAIN: Look = { color: null, back: null, isBold: false, isFaint: false };

/** The look behind a sequence of `ESC [ … m`; colours beyond the sixteen are taken for the nearest of them. */
function after(look: Look, codes: string): Look {
  const next = { ...look };
  const numbers = codes.split(/[;:]/).map(Number);
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at] ?? 0;
    if (code === 0) Object.assign(next, PLAIN);
    else if (code === 1) next.isBold = true;
    else if (code === 2) next.isFaint = true;
    else if (code === 22) next.isBold = next.isFaint = false;
    else if (code >= 30 && code <= 37) next.color = code - 30;
    else if (code >= 90 && code <= 97) next.color = code - 82;
    else if (code === 39) next.color = null;
    else if (code >= 40 && code <= 47) next.back = code - 40;
    else if (code >= 100 && code <= 107) next.back = code - 92;
    else if (code === 49) next.back = null;
    else if (code === 38 || code === 48) {
      const isIndexed = numbers[at + 1] === 5;
      const color = isIndexed ? nearest(numbers[at + 2] ?? 0) : nearestOf(numbers.slice(at + 2, at + 5));
      if (code === 38) next.color = color;
      else next.back = color;
      at += isIndexed ? 2 : 4;
    }
  }
  return next;
}

function nearest(index: number): number {
  if (index < 16) return index;
  if (index >= 232) return index < 238 ? 8 : index < 250 ? 7 : 15;
  const at = index - 16;
  return nearestOf([Math.floor(at / 36) * 51, (Math.floor(at / 6) % 6) * 51, (at % 6) * 51]);
}

function nearestOf([red = 0, green = 0, blue = 0]: number[]): number {
  const most = Math.max(red, green, blue);
  if (most < 50) return 0;
  const bit = (value: number, weight: number) => (value > most * 0.6 ? weight : 0);
  return bit(red, 1) + bit(green, 2) + bit(blue, 4) + (most > 200 ? 8 : 0);
}

function classes({ color, back, isBold, isFaint }: Look): string {
  const names = [];
  if (color !== null) names.push(`ansi-${color % 8}`);
  if (back !== null) names.push(`ansi-back-${back % 8}`);
  if (isBold) names.push("ansi-bold");
  if (isFaint) names.push("faint");
  return names.join(" ");
}

/** Control characters as terminals write them: `^[` is escape. */
function symbol(char: string): string {
  const code = char.charCodeAt(0);
  if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`;
  return code === 0x7f ? "^?" : `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
}

/** Offsets in bytes of UTF-8, ascending, as offsets in characters. */
export function characters(text: string, bytes: [number, number][]): [number, number][] {
  const wanted = bytes.flat();
  const found: number[] = [];
  let byte = 0;
  let at = 0;
  let next = 0;
  while (next < wanted.length) {
    const goal = wanted[next] ?? 0;
    if (byte >= goal || at >= text.length) {
      found.push(at);
      next += 1;
      continue;
    }
    const code = text.charCodeAt(at);
    const isPair = code >= 0xd800 && code < 0xdc00 && at + 1 < text.length;
    byte += isPair ? 4 : code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
    at += isPair ? 2 : 1;
  }
  return bytes.map((_, pair) => [found[pair * 2] ?? 0, found[pair * 2 + 1] ?? 0]);
}

/** Text as spans. `matches` are in characters, ascending. In one line, line feeds are symbols too. */
export function spans(text: string, matches: [number, number][] = [], isOneLine = false): Span[] {
  const found: Span[] = [];
  let look = PLAIN;
  let match = 0;
  const put = (start: number, end: number) => {
    let at = start;
    while (at < end) {
      while (match < matches.length && (matches[match]?.[1] ?? 0) <= at) match += 1;
      const [from, to] = matches[match] ?? [end, end];
      const isMatch = from <= at;
      const until = Math.min(end, isMatch ? to : from);
      found.push({ text: lineFeeds(text.slice(at, until), isOneLine), look: classes(look), isMatch });
      at = until;
    }
  };
  let at = 0;
  for (const special of text.matchAll(SPECIAL)) {
    put(at, special.index);
    const [whole, codes, end] = special;
    at = special.index + whole.length;
    if (end === "m") look = after(look, codes ?? "");
    else if (whole.length === 1 && !(whole === "\r" && text[at] === "\n")) found.push({ text: symbol(whole), look: "control", isMatch: false });
  }
  put(at, text.length);
  return found;
}

function lineFeeds(text: string, isOneLine: boolean): string {
  return isOneLine ? text.replace(/\n/g, " ⏎ ") : text;
}
