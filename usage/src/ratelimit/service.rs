//! From a request to its answer, whatever protocol it came by.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use weir_proto::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use weir_proto::envoy::service::ratelimit::v3::rate_limit_response::Code;
use weir_proto::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use weir_service::auth::Tenants;

use super::decide::{Known, decide};
use super::limits::{Domain, Limit, Limits, Met, Rate, counter_of_override};
use super::options::WithoutStore;
use super::request::{self, Refusal};
use super::store::{Add, Store};
use super::tally::{Failures, Outcome, Tallies, Tally};
use super::{Exhausted, Quotas};

/// Requests that are being decided at the same time; only those that wait for Redis take any.
const MAX_REQUESTS: usize = 4096;

/// Decides; shared by all listeners.
pub(super) struct Service {
    pub(super) limits: ArcSwap<Limits>,
    pub(super) store: Store,
    pub(super) quotas: Arc<dyn Quotas>,
    pub(super) without_store: WithoutStore,
    pub(super) tallies: Tallies,
    pub(super) failures: Failures,
    pub(super) asked: AtomicUsize,
}

/// What a descriptor meets.
enum Plan<'a> {
    Free,
    Configured { met: Met<'a>, rate: Option<Rate> },
    Override { rate: Rate, tally: &'a Arc<Tally> },
}

impl Service {
    /// Shows what it has decided, and what counters take.
    pub(super) fn observe(self: &Arc<Self>, meter: &Meter) {
        self.tallies.observe(meter);
        let service = Arc::downgrade(self);
        // The instrument lives in the meter; nothing else is to be kept.
        let _ = meter
            .u64_observable_gauge("weir_ratelimit_memory")
            .with_unit("By")
            .with_description("What counters of rate limits take in this process, about")
            .with_callback(move |observer| {
                if let Some(service) = service.upgrade() {
                    observer.observe(service.store.bytes() as u64, &[]);
                }
            })
            .build();
    }

    /// The answer to a request of a caller who may send for these tenants.
    pub(super) async fn answer(
        &self,
        request: &RateLimitRequest,
        tenants: &Tenants,
        now_unix: i64,
    ) -> Result<RateLimitResponse, Refusal> {
        let answer = self.decided(request, tenants, now_unix).await;
        if let Err(refusal) = &answer {
            self.failures.refusals.add(1, &[KeyValue::new("reason", refusal.reason())]);
        }
        answer
    }

    async fn decided(
        &self,
        request: &RateLimitRequest,
        tenants: &Tenants,
        now_unix: i64,
    ) -> Result<RateLimitResponse, Refusal> {
        request::check(request)?;
        request::permits(request, tenants)?;
        let _place = Place::of(&self.asked).ok_or(Refusal::Busy)?;
        let limits = self.limits.load_full();
        let plans = plans(&limits, request);
        let adds: Vec<Add> =
            plans.iter().zip(&request.descriptors).filter_map(|(p, d)| add(request, p, d, now_unix)).collect();
        let counts = self.store.add(&adds, now_unix).await;
        if counts.contains(&None) {
            self.failures.store.add(1, &[]);
        }
        let mut counts = counts.into_iter();
        let mut response = RateLimitResponse { overall_code: Code::Ok as i32, ..RateLimitResponse::default() };
        response.statuses.reserve(plans.len());
        for (plan, descriptor) in plans.iter().zip(&request.descriptors) {
            let known = plan.known(|| counts.next().flatten());
            let (status, outcome) = decide(known, self.exhausted(descriptor, now_unix), self.without_store, now_unix);
            self.tally(request, plan, descriptor, outcome);
            if status.code == Code::OverLimit as i32 {
                response.overall_code = status.code;
            }
            response.statuses.push(status);
        }
        Ok(response)
    }

    /// What stays exhausted longest of the tenants that a descriptor names.
    fn exhausted(&self, descriptor: &RateLimitDescriptor, now_unix: i64) -> Option<Exhausted> {
        request::tenants_of(descriptor)
            .filter_map(|tenant| self.quotas.exhausted(tenant, now_unix))
            .max_by_key(|exhausted| exhausted.resets_at_unix)
    }

    fn tally(&self, request: &RateLimitRequest, plan: &Plan<'_>, descriptor: &RateLimitDescriptor, outcome: Outcome) {
        match plan {
            Plan::Free => {}
            Plan::Override { tally, .. } => tally.add(outcome),
            Plan::Configured { met, .. } if met.is_detailed => {
                let path = met.detailed_path(&descriptor.entries);
                let detailed = self.tallies.detailed(&request.domain, path);
                detailed.as_ref().unwrap_or(&met.limit.tally).add(outcome);
            }
            Plan::Configured { met, .. } => met.limit.tally.add(outcome),
        }
    }
}

impl Plan<'_> {
    fn known(&self, count: impl FnOnce() -> Option<u64>) -> Known<'_> {
        match self {
            Self::Free => Known::Free,
            Self::Configured { rate: None, .. } => Known::Unlimited,
            Self::Configured { rate: Some(rate), met: Met { limit: Limit { is_shadow, name, .. }, .. } } => {
                Known::Limited { rate: *rate, is_shadow: *is_shadow, name, count: count() }
            }
            Self::Override { rate, .. } => Known::Limited { rate: *rate, is_shadow: false, name: "", count: count() },
        }
    }
}

/// What each descriptor meets, in their order, without what others of them replace.
fn plans<'a>(limits: &'a Limits, request: &RateLimitRequest) -> Vec<Plan<'a>> {
    let Some(domain) = limits.domains.get(&request.domain) else {
        return request.descriptors.iter().map(|_| Plan::Free).collect();
    };
    let mut plans: Vec<Plan<'a>> = request.descriptors.iter().map(|descriptor| plan(domain, descriptor)).collect();
    let names = |plan: &Plan<'a>| match plan {
        Plan::Configured { met, .. } => met.limit.replaces.as_slice(),
        Plan::Free | Plan::Override { .. } => &[],
    };
    let replaced: Vec<&'a String> = plans.iter().flat_map(names).collect();
    if !replaced.is_empty() {
        for plan in &mut plans {
            if let Plan::Configured { met, .. } = plan
                && replaced.contains(&&met.limit.name)
            {
                *plan = Plan::Free;
            }
        }
    }
    plans
}

fn plan<'a>(domain: &'a Domain, descriptor: &RateLimitDescriptor) -> Plan<'a> {
    if let Some(rate) = request::own_rate(descriptor) {
        return Plan::Override { rate, tally: &domain.overrides };
    }
    let met = domain.meet(&descriptor.entries);
    met.map_or(Plan::Free, |met| Plan::Configured { rate: met.limit.rate, met })
}

fn add(request: &RateLimitRequest, plan: &Plan<'_>, descriptor: &RateLimitDescriptor, now_unix: i64) -> Option<Add> {
    let (counter, unit) = match plan {
        Plan::Configured { met, rate: Some(rate) } => {
            (met.counter(&request.domain, &descriptor.entries, rate.unit), rate.unit)
        }
        Plan::Override { rate, .. } => {
            (counter_of_override(&request.domain, &descriptor.entries, rate.unit), rate.unit)
        }
        Plan::Free | Plan::Configured { rate: None, .. } => return None,
    };
    Some(Add { counter, end: unit.window_end(now_unix), hits: request::hits(request, descriptor) })
}

/// One request among those that are being decided.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn of(asked: &'a AtomicUsize) -> Option<Self> {
        let place = Self(asked);
        (asked.fetch_add(1, Ordering::Relaxed) < MAX_REQUESTS).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
