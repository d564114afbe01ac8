//! Decimals as text, as amounts come: summed exactly, and shown as money.
import { lang } from "./words";

interface Decimal {
  digits: bigint;
  /** Digits behind the point. */
  scale: number;
}

function read(text: string): Decimal | null {
  const parts = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!parts) return null;
  const [, sign = "", whole = "0", part = ""] = parts;
  return { digits: BigInt(`${sign}${whole}${part}`), scale: part.length };
}

function write({ digits, scale }: Decimal): string {
  const size = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, "0");
  const [whole, part] = [size.slice(0, size.length - scale), size.slice(size.length - scale)];
  return `${digits < 0n ? "-" : ""}${whole}${part ? `.${part}` : ""}`;
}

/** The exact sum; null where there is none to add up. What is no decimal is left out. */
export function sumOf(texts: (string | null | undefined)[]): string | null {
  const known = texts.flatMap((text) => (text ? (read(text) ?? []) : []));
  if (!known.length) return null;
  const scale = Math.max(...known.map((one) => one.scale));
  const digits = known.reduce((sum, one) => sum + one.digits * 10n ** BigInt(scale - one.scale), 0n);
  return write({ digits, scale });
}

/** Money with its currency. What is less than one has all its digits: a price of a call is often less than a cent. */
export function money(amount: string, currency: string): string {
  const digits = Math.abs(Number(amount)) < 1 && Number(amount) !== 0 ? 6 : 2;
  try {
    const format = new Intl.NumberFormat(lang.value, { style: "currency", currency, minimumFractionDigits: 2, maximumFractionDigits: digits });
    return format.format(amount as Intl.StringNumericLiteral);
  } catch {
    return `${amount} ${currency}`;
  }
}
