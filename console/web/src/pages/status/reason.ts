//! Why bytes are lost, in words.
import { w } from "./words";

const REASONS = ["deleted", "deleted_while_down", "truncated", "damaged", "over_limit", "over_rate", "not_configured"] as const;

export function reasonText(reason: string): string {
  const known = REASONS.find((one) => one === reason);
  return known ? w[known]() : reason;
}
