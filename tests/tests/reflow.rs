//! Captures, end to end: each row once and each file whole, whatever is killed or away; read by others; steered by
//! durations and alerts; erased.
//!
//! `WEIR_E2E_KILLS` says how many kills, `WEIR_E2E_SEED` when, `WEIR_OUTAGE` for how many seconds the store is away, and
//! `WEIR_E2E_SECONDS` for how many seconds the rows of a minute are counted.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests, which say how much was seen")]

mod reflow {
    mod dataset;
    mod instances;
    mod kills;
    mod manage;
    mod read;
    mod s3;
    mod spans;
    mod steered;
}
