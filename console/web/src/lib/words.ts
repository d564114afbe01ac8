//! Texts of the page: each has its English and its Chinese form side by side, so that none can be left out.
import { signal } from "@preact/signals";

export type Lang = "en" | "zh";

/** `{name}` in a text is replaced by the argument of that name. */
type Pair = readonly [en: string, zh: string];
type Arguments = Record<string, string | number>;
export type Text = (args?: Arguments) => string;

const KEPT = "weir.lang";

function initial(): Lang {
  const asked = new URLSearchParams(globalThis.location?.search).get("lang");
  const wanted = asked ?? globalThis.localStorage?.getItem(KEPT) ?? globalThis.navigator?.language ?? "en";
  return wanted.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export const lang = signal<Lang>(initial());

export function setLang(to: Lang) {
  lang.value = to;
  localStorage.setItem(KEPT, to);
}

/** Every table of texts, for the test that looks for what is not translated. */
export const tables: Record<string, Pair>[] = [];

/** A function for each text, which gives it in the language in force. */
export function words<K extends string>(table: Record<K, Pair>): Record<K, Text> {
  tables.push(table);
  const texts = {} as Record<K, Text>;
  for (const key of Object.keys(table) as K[]) {
    texts[key] = (args) => {
      const text = table[key][lang.value === "zh" ? 1 : 0];
      return args ? text.replace(/\{(\w+)\}/g, (whole, name: string) => String(args[name] ?? whole)) : text;
    };
  }
  return texts;
}
