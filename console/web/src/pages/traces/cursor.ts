//! The time that one points at, in milliseconds from the start of the trace: shown in all its parts at once.
import { signal } from "@preact/signals";

export const pointed = signal<number | null>(null);
