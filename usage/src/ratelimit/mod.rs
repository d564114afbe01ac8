//! The rate-limit service: Envoy's `RateLimitService` over gRPC, and `POST /json`.
//!
//! Limits are files in the format of envoyproxy/ratelimit, all of which are in force or none. Windows are fixed and
//! begin at multiples of their unit in unix time, and a call counts in its window whatever the answer is. A tenant whose
//! quota is exhausted ([`Quotas`]) is over its limit too.
//!
//! **Counts.** In memory they are those of this process and end with it. In Redis, instances share them, and they
//! outlive a restart; while Redis is unavailable, `without_store` decides.
//!
//! **Whose limits.** With `auth`, a caller is a writer. A descriptor that names a tenant in an entry `tenant` is for
//! credentials of that tenant, and one that names none for those of all tenants; a request with any other is refused
//! whole. So nobody learns from an answer what others used.
//!
//! **Bounds.** A request is at most 256 KiB with 64 descriptors of 32 entries. Counters in memory take 128 MiB at most;
//! beyond, new ones are treated as `without_store` says.

mod decide;
mod file;
mod grpc;
mod headers;
mod json;
mod limits;
mod load;
mod memory;
mod options;
mod redis;
mod reload;
mod request;
mod run;
mod service;
mod store;
mod tally;
mod unit;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use weir_service::Context;
use weir_service::http::Routes;
use weir_service::tls::TlsError;

pub use self::load::{LoadError, LoadErrors};
pub use self::options::{Options as RateLimitOptions, StoreOptions, WithoutStore};
pub use self::run::Run;

use self::service::Service;

/// Key of the entries that name a tenant.
const TENANT: &str = "tenant";

/// What a quota says of a tenant. It is asked for each descriptor that names one, so it must not block.
pub trait Quotas: Send + Sync + 'static {
    /// The quota that the tenant has used up; `None` while it may go on.
    fn exhausted(&self, tenant: &str, now_unix: i64) -> Option<Exhausted>;
}

/// A quota that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// How much it allows.
    pub limit: u64,
    /// When it begins again, in unix seconds.
    pub resets_at_unix: i64,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("usage.ratelimit.grpc: cannot listen on {address}")]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Files of limits.
    #[error("usage.ratelimit.limits")]
    Limits(#[from] LoadErrors),
    /// The address of Redis, whose text is not shown since it may hold a password.
    #[error("usage.ratelimit.store: not an address of Redis")]
    Store,
    /// The thread that reads the files of limits ended.
    #[error("usage.ratelimit.limits: reading them failed")]
    Reader,
}

/// The service as others see it; cheap to clone.
#[derive(Clone)]
pub struct RateLimit {
    service: Arc<Service>,
    grpc: Option<SocketAddr>,
    scheme: &'static str,
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimit").field("grpc", &self.grpc).finish_non_exhaustive()
    }
}

impl RateLimit {
    /// Reads the limits and binds the gRPC address, which is served from [`Run::run`] on. Does not wait for Redis.
    pub async fn open(
        options: &RateLimitOptions,
        context: &Context,
        quotas: Arc<dyn Quotas>,
    ) -> Result<(Self, Run), Error> {
        let run = Run::open(options, context, quotas).await?;
        let handle = Self { service: run.service().clone(), grpc: run.address(), scheme: run.scheme() };
        Ok((handle, run))
    }

    /// `POST /json`.
    pub fn routes(&self) -> Routes {
        json::routes(&self.service)
    }

    /// Where gRPC is served.
    pub fn grpc(&self) -> Option<SocketAddr> {
        self.grpc
    }

    /// `https` with certificates, else `http`.
    pub fn grpc_scheme(&self) -> &'static str {
        self.scheme
    }
}

fn now_unix() -> i64 {
    weir_service::time::now_unix_nano() / 1_000_000_000
}
