use std::sync::Arc;

use bytes::Bytes;
use weir_query::line::{Body, LineId, OfSpan, Source};

use super::*;

/// Signals that say what they are told to.
struct Told {
    quantile: Option<u64>,
    firing: State,
}

impl Signals for Told {
    fn quantile(&self, _: &str, _: &str, _: &str, _: f64) -> Option<u64> {
        self.quantile
    }

    fn firing(&self, _: &str, _: &str, _: i64) -> State {
        self.firing
    }

    fn evaluated_until(&self) -> Option<i64> {
        None
    }
}

const UNKNOWN: Told = Told { quantile: None, firing: State::Unknown };

fn sample(text: &str) -> Sampler {
    Sampler::new(serde_saphyr::from_str(text).unwrap())
}

fn span(trace: u64, index: u32, interface: &str) -> Line {
    let of = OfSpan { interface: interface.to_owned(), start: 1_000, end: 5_001_000, ..OfSpan::default() };
    Line {
        id: LineId { partition: 0, offset: 7, index },
        time: 1_000,
        severity: 0,
        severity_text: String::new(),
        body: Body::Text(String::new()),
        trace_id: Bytes::copy_from_slice(&u128::from(trace).to_be_bytes()),
        span_id: Bytes::new(),
        attributes: Vec::new(),
        source: Arc::new(Source::default()),
        span: Some(Box::new(of)),
    }
}

#[test]
fn given_a_ratio_then_traces_are_whole_or_absent_and_as_many_as_by_chance() {
    let now = Instant::now();
    let taken = |text: &str| -> Vec<u64> {
        let mut sampler = sample(text);
        let takes =
            |sampler: &mut Sampler, trace, index| sampler.takes(&span(trace, index, "a"), &UNKNOWN, 4, now).is_ok();
        (0..20_000)
            .filter(|trace| {
                let first = takes(&mut sampler, *trace, 0);
                assert_eq!(first, takes(&mut sampler, *trace, 1), "another span of the trace");
                first
            })
            .collect()
    };
    let (tenth, third) = (taken("{ratio: 0.1}"), taken("{ratio: 0.3}"));
    for (count, ratio) in [(tenth.len(), 0.1), (third.len(), 0.3)] {
        let deviation = f64::sqrt(20_000.0 * ratio * (1.0 - ratio));
        assert!((count as f64 - 20_000.0 * ratio).abs() < 4.0 * deviation, "{count} of 20000 by {ratio}");
    }
    assert!(tenth.iter().all(|trace| third.contains(trace)), "a greater ratio takes what a smaller takes");
    assert_eq!(taken("{ratio: 1}").len(), 20_000);
}

#[test]
fn given_rows_then_the_chance_is_of_each_by_itself() {
    let mut sampler = sample("{ratio: 0.5, by: row}");
    let taken = (0..1000).filter(|index| sampler.takes(&span(1, *index, "a"), &UNKNOWN, 1, Instant::now()).is_ok());
    assert!((400..600).contains(&taken.count()));
}

#[test]
fn given_what_steers_then_it_decides_and_what_is_not_known_takes_nothing() {
    let (slow, firing) = ("{slower_than: p99}", "{while_firing: Slow}");
    let told = |quantile, firing| Told { quantile, firing };
    for (text, signals, takes) in [
        (slow, told(Some(4_999), State::Unknown), Ok(())),
        (slow, told(Some(5_000), State::Unknown), Err(Left::NotSlow)),
        (slow, told(None, State::Unknown), Err(Left::Unknown)),
        (firing, told(None, State::Firing), Ok(())),
        (firing, told(None, State::NotFiring), Err(Left::NotFiring)),
        (firing, told(None, State::Unknown), Err(Left::Unknown)),
        ("{errors_only: true}", UNKNOWN, Err(Left::NoError)),
        ("{}", UNKNOWN, Ok(())),
    ] {
        let takes_it = sample(text).takes(&span(1, 0, "a"), &signals, 1, Instant::now());
        assert_eq!(takes_it, takes, "{text}");
    }
    let mut failed = span(1, 0, "a");
    failed.span.as_mut().unwrap().status = STATUS_ERROR;
    assert_eq!(sample("{errors_only: true}").takes(&failed, &UNKNOWN, 1, Instant::now()), Ok(()));
}

#[test]
fn given_rows_per_minute_then_no_more_are_taken_and_they_are_spread_over_time_and_interfaces() {
    let mut sampler = sample("{rows_per_minute: 240}");
    let start = Instant::now();
    let mut taken: Vec<(u64, &str)> = Vec::new();
    // 100 lines a second of one interface, 10 of another, in one of two partitions, for five minutes.
    for tick in 0..30_000_u64 {
        let now = start + Duration::from_millis(tick * 10);
        for interface in if tick % 10 == 0 { &["busy", "quiet"][..] } else { &["busy"] } {
            let line = span(tick * 31 + interface.len() as u64, 0, interface);
            if sampler.takes(&line, &UNKNOWN, 2, now).is_ok() {
                taken.push((tick / 6_000, interface));
            }
        }
    }
    for minute in 0..5 {
        let of = |name: &str| taken.iter().filter(|(at, interface)| *at == minute && *interface == name).count();
        let (busy, quiet) = (of("busy"), of("quiet"));
        assert!((90..=140).contains(&(busy + quiet)), "minute {minute}: {busy} and {quiet} of 120");
        if minute > 0 {
            assert!(quiet * 4 > busy, "minute {minute}: {busy} and {quiet}: the busy one leaves the other its part");
        }
    }
}
