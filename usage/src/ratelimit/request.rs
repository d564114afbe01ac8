//! What a request may hold, and whose it may ask about.

use http::StatusCode;
use tonic::Code;
use weir_proto::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use weir_proto::envoy::service::ratelimit::v3::RateLimitRequest;
use weir_service::auth::{Denied, Tenants};

use super::TENANT;
use super::limits::Rate;
use super::store::Hits;
use super::unit::Unit;

/// Of a request as sent, in bytes.
pub(super) const MAX_BODY: usize = 256 << 10;
const MAX_DOMAIN: usize = 256;
const MAX_DESCRIPTORS: usize = 64;
const MAX_ENTRIES: usize = 32;
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 4096;
/// Sums of these stay within what Redis counts.
const MAX_HITS: u64 = 1 << 40;

/// Why a request gets no decision.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It is not what it should be.
    #[error("{0}")]
    Invalid(String),
    /// The credential.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The descriptor names a tenant that the credential is not for, or none.
    #[error("{0}")]
    Tenant(String),
    /// Too much at the same time.
    #[error("too many rate limits are being decided at this moment; try again")]
    Busy,
}

impl Refusal {
    /// For HTTP.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Denied(denied) => denied.status(),
            Self::Tenant(_) => StatusCode::FORBIDDEN,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For gRPC.
    pub(super) fn code(&self) -> Code {
        match self.status() {
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
            _ => Code::Unavailable,
        }
    }

    /// For metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Denied(denied) => denied.reason(),
            Self::Tenant(_) => "tenant",
            Self::Busy => "busy",
        }
    }
}

/// Whether a request is within bounds.
pub(super) fn check(request: &RateLimitRequest) -> Result<(), Refusal> {
    let wrong = |problem: String| Err(Refusal::Invalid(problem));
    if request.domain.is_empty() {
        return wrong("`domain` is empty: name the domain of a file of limits".to_owned());
    }
    if request.domain.len() > MAX_DOMAIN {
        return wrong(format!("`domain` is longer than {MAX_DOMAIN} bytes"));
    }
    if request.descriptors.is_empty() {
        return wrong("`descriptors` is empty: send one descriptor at least".to_owned());
    }
    if request.descriptors.len() > MAX_DESCRIPTORS {
        return wrong(format!("`descriptors` are more than {MAX_DESCRIPTORS}"));
    }
    for (at, descriptor) in request.descriptors.iter().enumerate() {
        let entries = &descriptor.entries;
        let problem = if entries.len() > MAX_ENTRIES {
            format!("`entries` are more than {MAX_ENTRIES}")
        } else if entries.iter().any(|entry| entry.key.is_empty()) {
            "a `key` is empty".to_owned()
        } else if entries.iter().any(|entry| entry.key.len() > MAX_KEY) {
            format!("a `key` is longer than {MAX_KEY} bytes")
        } else if entries.iter().any(|entry| entry.value.len() > MAX_VALUE) {
            format!("a `value` is longer than {MAX_VALUE} bytes")
        } else if descriptor.hits_addend.is_some_and(|hits| hits > MAX_HITS) {
            format!("`hits_addend` is more than {MAX_HITS}")
        } else if descriptor.limit.is_some_and(|limit| Unit::numbered(limit.unit).is_none()) {
            "`limit.unit` is not a unit of time: use SECOND, MINUTE, HOUR, DAY, WEEK, MONTH or YEAR".to_owned()
        } else {
            continue;
        };
        return wrong(format!("`descriptors[{at}]`: {problem}"));
    }
    Ok(())
}

/// Whether all descriptors are of these tenants. One that names none is for credentials of all tenants: its count, which
/// answers show, may be of any of them.
pub(super) fn permits(request: &RateLimitRequest, tenants: &Tenants) -> Result<(), Refusal> {
    for (at, descriptor) in request.descriptors.iter().enumerate() {
        let mut named = tenants_of(descriptor).peekable();
        if named.peek().is_none() && !tenants.is_all() {
            return Err(Refusal::Tenant(format!(
                "`descriptors[{at}]` names no tenant, which takes a credential of all tenants (*); add an entry `{TENANT}`"
            )));
        }
        if let Some(foreign) = named.find(|tenant| !tenants.allows(Some(tenant))) {
            // The caller sent it: this discloses nothing.
            let shown: String = foreign.chars().filter(|c| !c.is_control()).take(128).collect();
            return Err(Refusal::Tenant(format!(
                "`descriptors[{at}]`: the tenant `{shown}` is not among those of the credential: see /api/v1/whoami"
            )));
        }
    }
    Ok(())
}

/// The tenants that a descriptor names.
pub(super) fn tenants_of(descriptor: &RateLimitDescriptor) -> impl Iterator<Item = &str> {
    descriptor.entries.iter().filter(|entry| entry.key == TENANT).map(|entry| entry.value.as_str())
}

/// How much a descriptor counts: what it says itself, which may be nothing, else what the request says, else one.
pub(super) fn hits(request: &RateLimitRequest, descriptor: &RateLimitDescriptor) -> Hits {
    let hits = descriptor.hits_addend.unwrap_or_else(|| u64::from(request.hits_addend.max(1)));
    if descriptor.is_negative_hits { Hits::GivenBack(hits) } else { Hits::Taken(hits) }
}

/// The limit that a checked descriptor brings along.
pub(super) fn own_rate(descriptor: &RateLimitDescriptor) -> Option<Rate> {
    let limit = descriptor.limit?;
    Some(Rate { requests: limit.requests_per_unit, unit: Unit::numbered(limit.unit)? })
}
