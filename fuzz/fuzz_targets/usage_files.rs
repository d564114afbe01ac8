//! Any text as a file of prices and of quotas: refused, or used for any sums without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_usage::cell::Sums;
use weir_usage::prices::{Prices, ROW_DECIMALS, round};
use weir_usage::quota::file::Limits;

/// As much as there can be.
const MOST: Sums = Sums {
    calls: u64::MAX,
    errors: u64::MAX,
    request_bytes: u64::MAX,
    response_bytes: u64::MAX,
    input_tokens: u64::MAX,
    output_tokens: u64::MAX,
    gpu_micros: u64::MAX,
    energy_millijoules: u64::MAX,
};

const NOW: i64 = 1_800_000_000;

fuzz_target!(|text: &str| {
    if let Ok(prices) = Prices::parse(text) {
        assert!(prices.changes().is_sorted() && prices.changes().iter().all(|at| at % 3600 == 0));
        if let Some(amount) = prices.amount("acme", "ocr", "POST /v1/ocr", NOW, &MOST) {
            round(amount, ROW_DECIMALS);
        }
    }
    if let Ok(limits) = Limits::parse(text) {
        for limit in limits.of("acme") {
            assert!(limit.limit > 0);
            limit.used(&MOST);
            let period = limit.per.around(NOW, &limit.zone);
            assert!((period.start_unix..period.end_unix).contains(&NOW));
            assert!(period.start_unix % 3600 == 0 && period.end_unix % 3600 == 0);
        }
    }
});
