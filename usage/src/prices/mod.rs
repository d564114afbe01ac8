//! Prices: what calls, tokens and GPU time cost, from a file.
//!
//! ```yaml
//! currency: CNY
//! tz: Asia/Shanghai              # where the dates below begin; UTC by default
//! prices:
//!   - {tenant: "*", service: ocr, interface: "/v1/ocr*", from: 2026-01-01, per_call: "0.01"}
//!   - {per_1k_input_tokens: "2", per_1k_output_tokens: "10", per_gpu_hour: "12.5"}
//! ```
//!
//! The first price that matches the name and has begun at the hour counts, in the order of the file: it alone, so that a
//! rate that it does not give is free there.

mod file;
mod money;
mod pattern;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use rust_decimal::Decimal;

pub use file::PricesError;
pub use money::{ROW_DECIMALS, currency_decimals, round};

use crate::cell::Sums;
use pattern::Pattern;

/// Microseconds of an hour.
const HOUR_MICROS: i64 = 3_600_000_000;

/// The prices of one file; cheap to clone.
#[derive(Debug, Clone)]
pub struct Prices(Arc<List>);

#[derive(Debug)]
struct List {
    currency: String,
    prices: Vec<Price>,
    changes: Vec<i64>,
}

/// One entry of the file.
#[derive(Debug)]
struct Price {
    tenant: Pattern,
    service: Pattern,
    interface: Pattern,
    /// Unix seconds; `None` where it was always valid.
    from: Option<i64>,
    rates: Rates,
}

/// What one of something costs; zero where the file says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rates {
    call: Decimal,
    thousand_input_tokens: Decimal,
    thousand_output_tokens: Decimal,
    gpu_hour: Decimal,
}

impl Prices {
    /// Reads a file of at most 1 MiB. `${VAR}` and `${VAR:-default}` are taken from the environment, as everywhere in the
    /// configuration.
    pub fn load(path: &Path) -> Result<Self, PricesError> {
        file::load(path).map(Self::of)
    }

    /// As [`Prices::load`], from text and without an environment; errors call it `prices`.
    pub fn parse(text: &str) -> Result<Self, PricesError> {
        file::parse(text).map(Self::of)
    }

    fn of((currency, prices): (String, Vec<Price>)) -> Self {
        let mut changes: Vec<i64> = prices.iter().filter_map(|price| price.from).collect();
        changes.sort_unstable();
        changes.dedup();
        Self(Arc::new(List { currency, prices, changes }))
    }

    /// ISO 4217 code of the currency of all amounts.
    pub fn currency(&self) -> &str {
        &self.0.currency
    }

    /// Unix seconds at which some price begins: full hours, ascending, each once. Between two of them the price of a name
    /// does not change.
    pub fn changes(&self) -> &[i64] {
        &self.0.changes
    }

    /// What `sums` cost, unrounded: usage of one name within hours that lie between two [`Prices::changes`], of which `at`
    /// (unix seconds) is any. `None` where no price matches. GPU usage has an empty interface.
    ///
    /// Exact to 28 significant digits. Of an amount with more of them, the last decimals are rounded half to even; that is
    /// so for GPU time too where the hours have no finite decimal, such as a third of an hour. What is beyond
    /// [`Decimal::MAX`] (7.9e28) is [`Decimal::MAX`].
    pub fn amount(&self, tenant: &str, service: &str, interface: &str, at: i64, sums: &Sums) -> Option<Decimal> {
        let is_valid = |price: &&Price| price.from.is_none_or(|from| from <= at);
        let price = self.0.prices.iter().filter(is_valid).find(|price| price.matches(tenant, service, interface))?;
        Some(price.rates.amount(sums))
    }
}

impl Price {
    fn matches(&self, tenant: &str, service: &str, interface: &str) -> bool {
        self.tenant.matches(tenant) && self.service.matches(service) && self.interface.matches_interface(interface)
    }
}

impl Rates {
    fn amount(&self, sums: &Sums) -> Decimal {
        let parts = [
            (self.call, sums.calls, 1),
            (self.thousand_input_tokens, sums.input_tokens, 1000),
            (self.thousand_output_tokens, sums.output_tokens, 1000),
            (self.gpu_hour, sums.gpu_micros, HOUR_MICROS),
        ];
        parts.into_iter().fold(Decimal::ZERO, |total, (rate, count, unit)| {
            // Multiplied first: a division that does not come out even then is the last step.
            let product = rate.saturating_mul(Decimal::from(count));
            total.saturating_add(product.checked_div(Decimal::from(unit)).unwrap_or(Decimal::MAX))
        })
    }
}
