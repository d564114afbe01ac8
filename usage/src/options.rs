//! Section `usage` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use weir_service::config::Span;
use weir_service::telemetry::whole;

use crate::prices::Prices;
use crate::quota::file::Limits;
use crate::ratelimit::RateLimitOptions;
use crate::store::Store;

/// The store that needs no address.
const SQLITE: &str = "sqlite";
/// Least `retention`: the current month and the one before are always there by the hour.
const LEAST_RETENTION: Duration = Duration::from_hours(62 * 24);

/// Section `usage` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// `sqlite` (in the data folder), or an address of PostgreSQL.
    pub store: StoreAddress,
    /// How long hours and days are kept; months are kept for ever.
    pub retention: Span,
    /// File of prices; without one there are no amounts.
    pub prices: Option<PathBuf>,
    /// Globs of quota files.
    pub quotas: Vec<String>,
    /// Envoy's rate limit service.
    pub ratelimit: RateLimitOptions,
}

/// Where usage is kept. Its `Debug` hides the address, which may hold a password.
#[derive(Clone, Deserialize)]
pub struct StoreAddress(String);

impl Default for StoreAddress {
    fn default() -> Self {
        Self(SQLITE.to_owned())
    }
}

impl std::fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_sqlite() { "SQLite" } else { "PostgreSQL" })
    }
}

impl StoreAddress {
    /// Whether it lies in the data folder.
    pub fn is_sqlite(&self) -> bool {
        self.0 == SQLITE
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            store: StoreAddress::default(),
            retention: Span(Duration::from_hours(400 * 24)),
            prices: None,
            quotas: Vec::new(),
            ratelimit: RateLimitOptions::default(),
        }
    }
}

impl Options {
    /// What cannot work, by the key's name.
    pub fn check(&self) -> Result<(), String> {
        Store::check(self.store.as_str()).map_err(|wrong| format!("store: {wrong}"))?;
        if self.retention.0 < LEAST_RETENTION {
            return Err("retention: must be at least 62d: two months are always kept by the hour".to_owned());
        }
        self.ratelimit.check()
    }

    /// Whether the files of prices, quotas and limits can be used, which they must before anything starts. Reads files:
    /// not for an async thread.
    pub fn check_files(&self) -> Result<(), String> {
        if let Some(path) = &self.prices {
            Prices::load(path).map_err(|error| format!("prices: {}", whole(&error)))?;
        }
        Limits::load(&self.quotas).map_err(|error| format!("quotas: {}", whole(&error)))?;
        self.ratelimit.check_files().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_what_cannot_work_then_its_key_is_named() {
        let check = |text: &str| serde_saphyr::from_str::<Options>(text).unwrap().check();
        assert_eq!(check("{}"), Ok(()));
        assert_eq!(check("{store: 'postgres://weir@db/weir'}"), Ok(()));
        for (text, key) in [
            ("{retention: 1d}", "retention: "),
            ("{store: mysql://h/x}", "store: «mysql»"),
            ("{store: ''}", "store: «»"),
        ] {
            let told = check(text).unwrap_err();
            assert!(told.starts_with(key) && !told.contains('\n'), "{text}: {told}");
        }
        serde_saphyr::from_str::<Options>("{prises: x}").unwrap_err();
        let wrong = serde_saphyr::from_str::<Options>("{prices: /no/such/file}").unwrap().check_files().unwrap_err();
        assert!(wrong.starts_with("prices: ") && wrong.contains("/no/such/file"), "{wrong}");
    }
}
