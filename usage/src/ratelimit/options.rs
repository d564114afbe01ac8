//! Section `usage.ratelimit` of the configuration.

use std::fmt;

use redis::IntoConnectionInfo as _;
use serde::Deserialize;
use weir_service::config::Address;
use weir_service::tls::{self, TlsOptions};

use super::load;

/// Where the configuration has the certificates.
pub(super) const TLS_SECTION: &str = "usage.ratelimit.tls";

/// Envoy's rate limit service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// gRPC; port 0 picks one, null switches it off.
    pub grpc: Option<Address>,
    /// Certificates of the gRPC listener; null is plain text.
    pub tls: Option<TlsOptions>,
    /// Files of limits, or globs of them, in the format of envoyproxy/ratelimit; read again when they change.
    pub limits: Vec<String>,
    /// Where calls are counted.
    pub store: StoreOptions,
    /// What is answered while the store cannot count.
    pub without_store: WithoutStore,
    /// Whether gRPC answers carry `x-ratelimit-*` headers for Envoy to add. Off, since Envoy adds its own where its filter
    /// has `enable_x_ratelimit_headers`. `POST /json` always has them.
    pub headers: bool,
}

/// Where calls are counted. Its `Debug` hides the address, which may hold a password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StoreOptions {
    /// In this process: one instance answers.
    #[default]
    Memory,
    /// In Redis, at a `redis://` or `rediss://` address: several instances share the counts.
    Redis(String),
}

/// What is answered while the store cannot count: Redis is unavailable, or the counters in memory are at their bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutStore {
    /// `OK`.
    #[default]
    Allow,
    /// `OVER_LIMIT`, where there is a limit.
    Deny,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "Memory",
            Self::Redis(_) => "Redis",
        })
    }
}

impl TryFrom<String> for StoreOptions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        if ["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(Self::Redis(text));
        }
        // What was written may hold a password, so it is not repeated.
        Err("not a store; write memory, redis://HOST:6379/0, or rediss://HOST:6379/0 for TLS".to_owned())
    }
}

impl Options {
    /// Whether the values make sense together; the text names the key, such as `ratelimit.store`.
    pub fn check(&self) -> Result<(), String> {
        if let StoreOptions::Redis(address) = &self.store {
            // The parser's own words may repeat the address, with its password.
            address.as_str().into_connection_info().map_err(|_| {
                "ratelimit.store: not an address of Redis; write redis://[USER:PASSWORD@]HOST:6379[/DATABASE], or \
                 rediss:// for TLS"
                    .to_owned()
            })?;
        }
        if self.grpc.is_none() && self.tls.is_some() {
            return Err("ratelimit.tls: there is no gRPC listener; set ratelimit.grpc, such as 0.0.0.0:8081".to_owned());
        }
        if let Some(empty) = self.limits.iter().position(|file| file.trim().is_empty()) {
            return Err(format!("ratelimit.limits[{empty}]: empty; name a file or a glob, such as limits/*.yaml"));
        }
        Ok(())
    }

    /// Reads the files of limits and the certificates; the number of limits. An error names file, line and key, and says
    /// what would be right.
    pub fn check_files(&self) -> Result<usize, String> {
        if let Some(options) = &self.tls {
            tls::check(TLS_SECTION, options).map_err(|error| error.to_string())?;
        }
        let limits = load::load(&self.limits).map_err(|errors| format!("ratelimit.limits: {errors}"))?;
        Ok(limits.len())
    }
}
