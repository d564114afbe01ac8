//! Files of quotas.
//!
//! ```yaml
//! quotas:
//!   - {tenant: "*", per: day, calls: 100000}          # `*`: each tenant of its own
//!   - {tenant: acme, per: month, tz: Asia/Shanghai, tokens: 50000000, gpu_seconds: 36000}
//! ```
//!
//! An entry limits calls, tokens (read and written together), seconds of GPU time, or several of them, in a day or a month
//! of a time zone (UTC by default). An entry of a tenant takes the place of the one of `*` for the same unit and period.
//! Several files are taken together; what is limited twice is an error.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;
use weir_service::config::{self, ConfigError};

use weir_service::globs;
pub use weir_service::globs::GlobError;

use super::period::{self, Per, Zone};
use crate::cell::Sums;

/// Every tenant that has no limit of its own.
const EACH: &str = "*";

const SECOND_MICROS: u64 = 1_000_000;

const QUANTITY: &str = "a whole number of at least 1";

/// Why quotas cannot be used; the text is one line for a user.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// A glob names nothing that can be read.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A file cannot be read, is no YAML, or a key or value of it is wrong.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// An entry cannot be used.
    #[error("{}:{line}: `quotas[{index}]`: {message}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Which entry of the file, from 0.
        index: usize,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Calls, failed ones too.
    Calls,
    /// Tokens that models read and wrote.
    Tokens,
    /// Full seconds of GPU time.
    GpuSeconds,
}

impl Unit {
    /// The key of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Tokens => "tokens",
            Self::GpuSeconds => "gpu_seconds",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much of one unit a tenant may use in a period.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// Of what.
    pub unit: Unit,
    /// In what time: [`Per::around`] with `zone`.
    pub per: Per,
    /// Where days and months begin; always at full hours of UTC.
    pub zone: TimeZone,
    /// How much, in the unit; at least 1.
    pub limit: u64,
}

impl Limit {
    /// How much of the limit `sums`, those of the period, have used: in the unit, not over `u64::MAX`.
    pub fn used(&self, sums: &Sums) -> u64 {
        match self.unit {
            Unit::Calls => sums.calls,
            Unit::Tokens => sums.input_tokens.saturating_add(sums.output_tokens),
            Unit::GpuSeconds => sums.gpu_micros / SECOND_MICROS,
        }
    }
}

/// The files that the globs name now; none where one of them cannot be followed.
pub(super) fn paths(globs: &[String]) -> Vec<PathBuf> {
    globs::files(globs).map(|files| files.into_iter().collect()).unwrap_or_default()
}

/// Which limit of a tenant: there is one of each.
type Key = (Per, Unit);

/// The limits of all files; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Limits(Arc<HashMap<String, BTreeMap<Key, Limit>>>);

impl Limits {
    /// Reads all files that the globs name, of at most 1 MiB each; no globs are no limits. A path without a wildcard must
    /// be there, and so must the folder before the first wildcard. `${VAR}` is taken from the environment. Reads files: not
    /// for an async thread.
    pub fn load(globs: &[String]) -> Result<Self, QuotaError> {
        let mut builder = Builder::default();
        for path in globs::files(globs)? {
            builder.add(config::load(Some(&path))?, &path)?;
        }
        Ok(builder.finish())
    }

    /// As [`Limits::load`] does with a file, from text and without an environment; errors call it `quotas`.
    pub fn parse(text: &str) -> Result<Self, QuotaError> {
        let path = Path::new("quotas");
        let mut builder = Builder::default();
        builder.add(config::parse(text, path, HashMap::new())?, path)?;
        Ok(builder.finish())
    }

    /// The limits of a tenant: its own, and those of `*` for what it has none of its own. By period, then by unit.
    pub fn of(&self, tenant: &str) -> Vec<Limit> {
        let mut limits = self.0.get(EACH).cloned().unwrap_or_default();
        if let Some(own) = self.0.get(tenant) {
            limits.extend(own.iter().map(|(key, limit)| (*key, limit.clone())));
        }
        limits.into_values().collect()
    }

    /// The periods that limits are counted over, each once.
    pub fn periods(&self) -> Vec<(Per, TimeZone)> {
        let mut periods: Vec<(Per, TimeZone)> = Vec::new();
        for limit in self.0.values().flat_map(BTreeMap::values) {
            let is_same = |(per, zone): &(Per, TimeZone)| *per == limit.per && *zone == limit.zone;
            if !periods.iter().any(is_same) {
                periods.push((limit.per, limit.zone.clone()));
            }
        }
        periods
    }

    /// Whether no tenant has a limit.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileYaml {
    quotas: Vec<QuotaYaml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaYaml {
    tenant: Spanned<String>,
    per: Per,
    #[serde(default)]
    tz: Zone,
    calls: Option<Quantity>,
    tokens: Option<Quantity>,
    gpu_seconds: Option<Quantity>,
}

/// A whole number of at least 1: who may use nothing at all gets no credential.
#[derive(Clone, Copy)]
struct Quantity(u64);

struct QuantityVisitor;

impl Visitor<'_> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(QUANTITY)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Quantity, E> {
        if number == 0 { Err(E::custom(format!("should be {QUANTITY}"))) } else { Ok(Quantity(number)) }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Quantity, E> {
        self.visit_u64(u64::try_from(number).unwrap_or(0))
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

/// Limits while files are read, with where each comes from.
#[derive(Default)]
struct Builder {
    limits: HashMap<String, BTreeMap<Key, Limit>>,
    places: HashMap<(String, Key), String>,
}

impl Builder {
    fn add(&mut self, file: FileYaml, path: &Path) -> Result<(), QuotaError> {
        for (index, quota) in file.quotas.into_iter().enumerate() {
            let line = quota.tenant.referenced.line();
            let place = format!("{}:{line}", path.display());
            self.add_quota(quota, &place).map_err(|message| QuotaError::Entry {
                path: path.to_owned(),
                line,
                index,
                message,
            })?;
        }
        Ok(())
    }

    fn add_quota(&mut self, quota: QuotaYaml, place: &str) -> Result<(), String> {
        let tenant = quota.tenant.value;
        if tenant.is_empty() {
            return Err("`tenant` is empty: name one, or write \"*\" for each tenant of its own".to_owned());
        }
        if tenant != EACH && tenant.contains('*') {
            return Err(format!("`tenant: {tenant}` is no pattern: name one tenant, or write \"*\" alone for each"));
        }
        period::full_hours(&quota.tz.0).map_err(|message| format!("`tz`: {message}"))?;
        let units = [(Unit::Calls, quota.calls), (Unit::Tokens, quota.tokens), (Unit::GpuSeconds, quota.gpu_seconds)];
        if units.iter().all(|(_, quantity)| quantity.is_none()) {
            return Err("a quota needs at least one of calls, tokens, gpu_seconds".to_owned());
        }
        for (unit, quantity) in units {
            let Some(Quantity(limit)) = quantity else { continue };
            let key = (quota.per, unit);
            if let Some(other) = self.places.insert((tenant.clone(), key), place.to_owned()) {
                return Err(format!(
                    "{unit} of `{tenant}` per {} are limited already, at {other}: keep one",
                    quota.per
                ));
            }
            let limit = Limit { unit, per: quota.per, zone: quota.tz.0.clone(), limit };
            self.limits.entry(tenant.clone()).or_default().insert(key, limit);
        }
        Ok(())
    }

    fn finish(self) -> Limits {
        Limits(Arc::new(self.limits))
    }
}
