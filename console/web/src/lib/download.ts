//! Files that the page makes.

/** Saves a text as a file of the visitor's. */
export function download(name: string, text: string, type = "application/json") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
}

/** One line of a CSV file (RFC 4180). What a spreadsheet would take for a formula becomes text. */
export function csvLine(values: (string | number | null | undefined)[]): string {
  const cells = values.map((value) => {
    if (typeof value === "number" || value === null || value === undefined) return String(value ?? "");
    const text = /^[=+\-@\t\r]/.test(value) && !/^-?\d+(\.\d+)?$/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return `${cells.join(",")}\r\n`;
}
