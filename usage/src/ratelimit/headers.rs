//! The headers `x-ratelimit-*`, in the form that Envoy calls `DRAFT_VERSION_03`.

use std::fmt::Write as _;

use weir_proto::envoy::service::ratelimit::v3::RateLimitResponse;

use super::decide::window;

/// Names and values: of the descriptor that has least left, with the policies of all; none where nothing limits.
pub(super) fn headers(response: &RateLimitResponse) -> Option<[(&'static str, String); 3]> {
    let limited = || response.statuses.iter().filter_map(|status| Some((status, status.current_limit.as_ref()?)));
    let (tightest, limit) = limited().min_by_key(|(status, _)| status.limit_remaining)?;
    let mut policy = limit.requests_per_unit.to_string();
    for (_, limit) in limited() {
        if let Some(seconds) = window(limit) {
            // A String takes what is written to it.
            let _ = write!(policy, ", {};w={seconds}", limit.requests_per_unit);
            if !limit.name.is_empty() {
                let _ = write!(policy, ";name=\"{}\"", limit.name);
            }
        }
    }
    let reset = tightest.duration_until_reset.map_or(0, |of| of.seconds);
    Some([
        ("x-ratelimit-limit", policy),
        ("x-ratelimit-remaining", tightest.limit_remaining.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use prost_types::Duration;
    use weir_proto::envoy::service::ratelimit::v3::rate_limit_response::{DescriptorStatus, RateLimit};

    use super::*;

    #[test]
    fn given_several_limits_then_the_one_with_least_left_speaks_for_all() {
        let status = |requests_per_unit, unit, name: &str, limit_remaining, seconds| DescriptorStatus {
            code: 1,
            current_limit: Some(RateLimit { requests_per_unit, unit, name: name.to_owned() }),
            limit_remaining,
            duration_until_reset: Some(Duration { seconds, nanos: 0 }),
        };
        let free = DescriptorStatus { limit_remaining: u32::MAX, ..DescriptorStatus::default() };
        let shown = |statuses: Vec<DescriptorStatus>| {
            let response = RateLimitResponse { statuses, ..RateLimitResponse::default() };
            headers(&response).map(|headers| headers.map(|(_, value)| value))
        };
        assert_eq!(shown(vec![free.clone()]), None);
        let several = vec![free, status(10, 2, "", 9, 30), status(1000, 3, "an-hour", 3, 1800)];
        assert_eq!(shown(several).unwrap(), ["1000, 10;w=60, 1000;w=3600;name=\"an-hour\"", "3", "1800"]);
        assert_eq!(shown(vec![status(7, 0, "quota", 0, 90)]).unwrap(), ["7", "0", "90"]);
    }
}
