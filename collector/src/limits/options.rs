//! Section `collector.limits` of the configuration.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use weir_service::config::Size;

use crate::Error;

/// Least `memory`: with less, what the program takes by itself would leave nothing to work with.
const LEAST_MEMORY: u64 = 48 << 20;

/// Least `cpu`: a collector that only waits takes nearly half of it.
const LEAST_CPU: f64 = 0.05;

/// What the process may take. It keeps to it by reading and accepting less, and loses nothing for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitOptions {
    /// Resident memory, of the program itself too; null is no limit.
    pub memory: Option<Size>,
    /// CPU time over time, on average; null is no limit.
    pub cpu: Option<Cores>,
}

/// So many cores as users write them: a number, or text as Kubernetes writes it, `0.5` or `500m`.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub struct Cores(pub f64);

/// Text that is no [`Cores`]; it says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("«{0}» is not {CORES}")]
pub struct CoresError(String);

const CORES: &str = "a number of cores such as 2, 0.5 or 500m";

impl LimitOptions {
    /// What cannot work, by the key's name.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::Options(text));
        if self.memory.is_some_and(|memory| memory.0 < LEAST_MEMORY) {
            let least = Size(LEAST_MEMORY);
            return wrong(format!("collector.limits.memory: must be at least {least}, or null for no limit"));
        }
        if self.cpu.is_some_and(|cpu| cpu.0 < LEAST_CPU) {
            return wrong(format!("collector.limits.cpu: must be at least {LEAST_CPU} (cores), or null for no limit"));
        }
        Ok(())
    }
}

impl FromStr for Cores {
    type Err = CoresError;

    fn from_str(text: &str) -> Result<Self, CoresError> {
        let trimmed = text.trim();
        let (number, unit) = trimmed.strip_suffix('m').map_or((trimmed, 1.0), |number| (number, 1000.0));
        // Neither signs nor exponents nor `inf`.
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let cores = number.parse::<f64>().ok().filter(|_| is_plain);
        cores.map(|cores| Self(cores / unit)).ok_or_else(|| CoresError(text.to_owned()))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct CoresVisitor;

impl Visitor<'_> for CoresVisitor {
    type Value = Cores;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CORES)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Cores, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Cores, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Cores, E> {
        Ok(Cores(number as f64))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Cores, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Cores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CoresVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read_as_users_and_kubernetes_write_them() {
        for (json, cores) in [("2", 2.0), ("0.5", 0.5), ("\"0.5\"", 0.5), ("\"500m\"", 0.5), ("\" 1500m\"", 1.5)] {
            assert_eq!(serde_json::from_str::<Cores>(json).unwrap(), Cores(cores), "{json}");
        }
        for json in ["\"\"", "\"m\"", "\"half\"", "-1", "-0.5", "\"1e3\"", "\"inf\"", "\"NaN\"", "\"5k\"", "true"] {
            let error = serde_json::from_str::<Cores>(json).unwrap_err().to_string();
            assert!(error.contains(CORES), "{json}: {error}");
        }
        assert_eq!(Cores(0.5).to_string(), "0.5");
    }
}
