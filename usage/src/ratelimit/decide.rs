//! The decision about one descriptor, from what was counted.

use prost_types::Duration;
use weir_proto::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus, RateLimit};

use super::limits::Rate;
use super::options::WithoutStore;
use super::tally::Outcome;
use super::{Exhausted, unit::Unit};

/// What is known of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// Nothing limits it, or what would is replaced by another limit of the request.
    Free,
    /// A limit says that nothing does.
    Unlimited,
    /// A limit with a rate.
    Limited {
        rate: Rate,
        is_shadow: bool,
        name: &'a str,
        /// Behind this request; `None` where it could not be counted.
        count: Option<u64>,
    },
}

/// The status of a descriptor. What is over and what is in shadow mode counts like everything else.
pub(super) fn decide(
    known: Known<'_>,
    exhausted: Option<Exhausted>,
    without_store: WithoutStore,
    now_unix: i64,
) -> (DescriptorStatus, Outcome) {
    if let Some(Exhausted { limit, resets_at_unix }) = exhausted {
        let quota = RateLimit {
            requests_per_unit: u32::try_from(limit).unwrap_or(u32::MAX),
            // A quota is not per any of Envoy's units.
            unit: 0,
            name: "quota".to_owned(),
        };
        return (status(Code::OverLimit, Some(quota), 0, (resets_at_unix - now_unix).max(0)), Outcome::Quota);
    }
    let (rate, is_shadow, name, count) = match known {
        Known::Free => return (free(0), Outcome::Ok),
        Known::Unlimited => return (free(u32::MAX), Outcome::Ok),
        Known::Limited { rate, is_shadow, name, count } => (rate, is_shadow, name, count),
    };
    let Rate { requests, unit } = rate;
    let limit = RateLimit { requests_per_unit: requests, unit: unit.wire() as i32, name: name.to_owned() };
    let reset = unit.window_end(now_unix) - now_unix;
    let (code, remaining, outcome) = match count {
        Some(count) if count <= u64::from(requests) => {
            (Code::Ok, requests - u32::try_from(count).unwrap_or(requests), Outcome::Ok)
        }
        Some(_) if is_shadow => (Code::Ok, 0, Outcome::Shadow),
        Some(_) => (Code::OverLimit, 0, Outcome::Over),
        None if is_shadow || without_store == WithoutStore::Allow => return (free(0), Outcome::WithoutStore),
        None => (Code::OverLimit, 0, Outcome::WithoutStore),
    };
    (status(code, Some(limit), remaining, reset), outcome)
}

fn free(remaining: u32) -> DescriptorStatus {
    DescriptorStatus { limit_remaining: remaining, ..status(Code::Ok, None, 0, 0) }
}

fn status(code: Code, limit: Option<RateLimit>, limit_remaining: u32, reset: i64) -> DescriptorStatus {
    let duration_until_reset = limit.is_some().then_some(Duration { seconds: reset, nanos: 0 });
    DescriptorStatus { code: code as i32, current_limit: limit, limit_remaining, duration_until_reset }
}

/// Length of a status's window, for headers; `None` of a quota.
pub(super) fn window(limit: &RateLimit) -> Option<i64> {
    Unit::numbered(limit.unit).map(Unit::seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn limited(is_shadow: bool, count: Option<u64>) -> Known<'static> {
        Known::Limited { rate: Rate { requests: 5, unit: Unit::Minute }, is_shadow, name: "", count }
    }

    #[test]
    fn given_a_count_then_it_is_ok_up_to_the_limit() {
        let allow = WithoutStore::Allow;
        let deny = WithoutStore::Deny;
        for (known, without_store, code, remaining, reset, outcome) in [
            (limited(false, Some(1)), allow, Code::Ok, 4, Some(40), Outcome::Ok),
            (limited(false, Some(5)), allow, Code::Ok, 0, Some(40), Outcome::Ok),
            (limited(false, Some(6)), allow, Code::OverLimit, 0, Some(40), Outcome::Over),
            (limited(false, Some(u64::MAX)), allow, Code::OverLimit, 0, Some(40), Outcome::Over),
            (limited(true, Some(6)), allow, Code::Ok, 0, Some(40), Outcome::Shadow),
            (limited(false, None), allow, Code::Ok, 0, None, Outcome::WithoutStore),
            (limited(false, None), deny, Code::OverLimit, 0, Some(40), Outcome::WithoutStore),
            (limited(true, None), deny, Code::Ok, 0, None, Outcome::WithoutStore),
            (Known::Free, deny, Code::Ok, 0, None, Outcome::Ok),
            (Known::Unlimited, deny, Code::Ok, u32::MAX, None, Outcome::Ok),
        ] {
            let (status, decided) = decide(known, None, without_store, NOW);
            let found = (status.code(), status.limit_remaining, status.duration_until_reset.map(|of| of.seconds));
            assert_eq!((found, decided), ((code, remaining, reset), outcome), "{known:?}, {without_store:?}");
        }
    }

    #[test]
    fn given_an_exhausted_quota_then_it_is_over_whatever_the_limit_says() {
        for known in [Known::Free, Known::Unlimited, limited(false, Some(1)), limited(true, None)] {
            let exhausted = Exhausted { limit: 1 << 40, resets_at_unix: NOW + 90 };
            let (status, outcome) = decide(known, Some(exhausted), WithoutStore::Allow, NOW);
            assert_eq!((status.code(), outcome), (Code::OverLimit, Outcome::Quota));
            assert_eq!(status.duration_until_reset.map(|of| of.seconds), Some(90));
            let limit = status.current_limit.unwrap();
            assert_eq!((limit.requests_per_unit, limit.name.as_str(), window(&limit)), (u32::MAX, "quota", None));
        }
    }
}
