//! Plain values as YAML, as captures are written in files.

type Value = string | number | boolean | null | undefined | Value[] | { [key: string]: Value };

/** Texts that YAML would read as something else are quoted. */
function scalar(value: string | number | boolean | null): string {
  if (typeof value !== "string") return String(value);
  const isPlain = /^[A-Za-z_/][\w./@-]*$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(value);
  if (isPlain || /^\d+[a-zA-Z]+$/.test(value)) return value;
  if (/[\x00-\x1f\x7f\u0085\u2028\u2029\ufeff]/.test(value)) return JSON.stringify(value);
  return `'${value.replaceAll("'", "''")}'`;
}

const isFlat = (value: Value): boolean => value === null || typeof value !== "object";

/** `{a: 1, b: [x, y]}` */
function flow(value: Value): string {
  if (value === undefined || value === null) return "null";
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (typeof value === "object") return `{${pairs(value).map(([key, value]) => `${scalar(key)}: ${flow(value)}`).join(", ")}}`;
  // Within braces these would end the text.
  return scalar(value);
}

function pairs(value: { [key: string]: Value }): [string, Value][] {
  return Object.entries(value).filter(([, value]) => value !== undefined);
}

const WIDTH = 72;

/** A mapping; what is short lies in one line. */
export function yaml(value: { [key: string]: Value }, indent = ""): string {
  return pairs(value)
    .map(([key, value]) => {
      const head = `${indent}${scalar(key)}:`;
      if (isFlat(value)) return `${head} ${flow(value)}\n`;
      const line = `${head} ${flow(value)}\n`;
      if (line.length <= WIDTH) return line;
      if (Array.isArray(value)) return `${head}\n${value.map((one) => `${indent}  - ${flow(one)}\n`).join("")}`;
      return `${head}\n${yaml(value as { [key: string]: Value }, `${indent}  `)}`;
    })
    .join("");
}

/** As an entry of the list `captures` of a file. */
export function captureFile(definition: object): string {
  const text = yaml(definition as { [key: string]: Value }, "    ");
  return `captures:\n  - ${text.trimStart()}`;
}
