//! Sections `alerter.keda` and `alerter.external_metrics` of the configuration.

use serde::Deserialize;
use weir_service::config::Address;
use weir_service::tls::{self, TlsOptions};

/// Where the configuration has the certificates.
pub(super) const KEDA_TLS: &str = "alerter.keda.tls";

/// KEDA's external scaler.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KedaOptions {
    /// gRPC; port 0 picks one.
    pub grpc: Address,
    /// Certificates of the listener; null is plain text. KEDA shows no token: beyond loopback it is known by its
    /// client certificate, so `client_ca` is needed there.
    #[serde(default)]
    pub tls: Option<TlsOptions>,
}

impl KedaOptions {
    /// Whether callers have to show who they are.
    pub fn asks_clients(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }

    /// Whether the certificates can be used. Reads files.
    pub(crate) fn check_files(&self) -> Result<(), String> {
        let Some(options) = &self.tls else { return Ok(()) };
        tls::check(KEDA_TLS, options).map_err(|error| error.to_string())
    }
}
