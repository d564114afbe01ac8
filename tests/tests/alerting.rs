//! What users of other alerters complain of, shown not to happen here: spans are folded, kept as series, and rules
//! evaluated over them, second by second of event time.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use weir_alerter::fold::{Fold, OTHER, Rewrite, Rewrites, Seen};
use weir_alerter::promql::{Number, Query, Value};
use weir_alerter::rules::{Alert, Evaluator, EvaluatorOptions, State, load_files};
use weir_alerter::series::store::{Refused, Store};
use weir_proto::otlp::trace::v1::{Span, Status};
use weir_proto::v1;
use weir_tests::otlp::spans_of;

const SECOND: u64 = 1_000_000_000;
/// Seconds of event time count from here.
const START: u64 = 1_700_000_000;
const INTERFACES: usize = 50;

/// A call that ended in a second.
#[derive(Clone)]
struct Call {
    second: u64,
    name: String,
    milliseconds: u64,
    is_error: bool,
}

fn call(second: u64, milliseconds: u64) -> Call {
    Call { second, name: "POST /ocr".to_owned(), milliseconds, is_error: false }
}

/// Fold, series and rules of one alerter.
struct Rig {
    folder: tempfile::TempDir,
    fold: Fold,
    ranges: Vec<v1::CallDeltas>,
    store: Store,
    evaluator: Evaluator,
    ids: u64,
}

impl Rig {
    fn new(rules: &str) -> Self {
        Self::of_file(&format!("groups: [{{name: g, rules: [{rules}]}}]"))
    }

    fn of_file(rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
        let fold = Fold::new(INTERFACES, Seen::new(600 * SECOND, 100_000));
        let store = Store::new(7_200_000, 10_000);
        let evaluator = evaluator(&folder);
        Self { folder, fold, ranges: Vec::new(), store, evaluator, ids: 0 }
    }

    /// One record of calls of a tenant, which arrives `at` a second.
    fn take(&mut self, at: u64, tenant: &str, calls: &[Call]) {
        let spans = calls.iter().map(|call| {
            self.ids += 1;
            let end = (START + call.second) * SECOND + SECOND / 2;
            Span {
                trace_id: u128::from(self.ids).to_be_bytes().to_vec(),
                span_id: self.ids.to_be_bytes().to_vec(),
                name: call.name.clone(),
                kind: 2,
                start_time_unix_nano: end - call.milliseconds * 1_000_000,
                end_time_unix_nano: end,
                status: call.is_error.then(|| Status { code: 2, ..Status::default() }),
                ..Span::default()
            }
        });
        let value = spans_of(tenant, "ocr", spans.collect()).encode_to_vec();
        self.fold.add(&value, (START + at + 1) * SECOND).unwrap();
        let first = i64::try_from(self.ranges.len()).unwrap();
        let range = self.fold.finish("otlp_spans", 0, first, first + 1);
        self.store.add_calls(&range, &mut Refused::default());
        self.ranges.push(range);
    }

    /// Evaluates the rules up to a second.
    fn evaluate(&mut self, second: u64) {
        let until = i64::try_from((START + second) * 1000).unwrap();
        while let Some(step) = self.evaluator.step(&self.store, until) {
            for sample in &step.recorded {
                self.store.record(&sample.labels, sample.time_ms, &sample.value, &mut Refused::default());
            }
            assert_eq!(step.failed, 0);
        }
    }

    /// The process is killed: what is left is its snapshot, and the ranges on the bus.
    fn restart(&mut self) {
        let mut evaluator = evaluator(&self.folder);
        evaluator.restore(&v1::AlertSnapshot::decode(&self.evaluator.snapshot().encode_to_vec()[..]).unwrap());
        self.evaluator = evaluator;
        self.store = Store::new(7_200_000, 10_000);
        for range in &self.ranges {
            self.store.add_calls(range, &mut Refused::default());
        }
    }

    fn alerts(&self) -> Vec<Alert> {
        self.evaluator.status().into_iter().flat_map(|group| group.rules).flat_map(|rule| rule.alerts).collect()
    }

    fn states(&self) -> Vec<State> {
        self.alerts().iter().map(|alert| alert.state).collect()
    }

    /// The numbers of a query at a second.
    fn ask(&self, query: &str, second: u64) -> Vec<f64> {
        let at = i64::try_from((START + second) * 1000).unwrap();
        let Value::Vector(samples) = Query::parse(query).unwrap().at(&self.store, at).unwrap() else {
            panic!("{query} is no vector")
        };
        let number = |number: Number| match number {
            Number::Float(float) => float,
            Number::Histogram(_) => panic!("{query} is a histogram"),
        };
        samples.into_iter().map(|sample| number(sample.value)).collect()
    }
}

fn evaluator(folder: &tempfile::TempDir) -> Evaluator {
    let rules = load_files(&[folder.path().join("rules.yaml").display().to_string()]).unwrap();
    Evaluator::new(rules, EvaluatorOptions::default())
}

const SLOW: &str = "{alert: Slow, expr: 'histogram_quantile(0.99, sum by (service) (rate(weir_call_duration_seconds[5s]))) > 0.8', \
                    for: 10s, labels: {page: '{{ $labels.service }} of {{ $labels.gone }}!'}}";

/// Of configs/rules/inference.yaml, what promtool cannot be told: rules over histograms.
#[test]
fn given_calls_that_take_longer_while_no_more_come_then_they_are_slow_and_pile_up() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/rules/inference.yaml");
    let mut rig = Rig::of_file(&std::fs::read_to_string(rules).unwrap());
    let names = |rig: &Rig| -> BTreeSet<String> {
        let firing = rig.alerts().into_iter().filter(|alert| alert.state == State::Firing);
        firing.map(|alert| alert.labels["alertname"].clone()).collect()
    };
    let hour = 4200;
    for second in (0..hour + 720).step_by(10) {
        let milliseconds = if second < hour { 100 } else { 20_000 };
        let calls: Vec<Call> = (second..second + 10).map(|second| call(second, milliseconds)).collect();
        rig.take(second + 10, "acme", &calls);
        if second + 60 > hour {
            rig.evaluate(second);
        }
        if second < hour {
            assert!(names(&rig).is_empty(), "{second}: {:?}", names(&rig));
        }
    }
    assert_eq!(names(&rig), BTreeSet::from(["InterfaceSaturated".to_owned(), "SlowInterface".to_owned()]));
}

/// prometheus#15175: with `for` under ten minutes, an alert that fired is pending after a restart.
#[test]
fn given_a_restart_then_an_alert_that_fires_is_not_pending_again() {
    let mut rig = Rig::new(SLOW);
    for second in 0..60 {
        rig.take(second, "acme", &[call(second, 1500)]);
        rig.evaluate(second);
        // Killed every second, while it is pending and while it fires.
        rig.restart();
        let want = match second {
            0 => vec![],
            1..=10 => vec![State::Pending],
            _ => vec![State::Firing],
        };
        assert_eq!(rig.states(), want, "second {second}");
    }
    assert_eq!(rig.alerts()[0].fired_at_ms, Some(i64::try_from((START + 11) * 1000).unwrap()));
}

/// prometheus#18364: the state of alerts whose labels come of templates is not restored.
#[test]
fn given_a_restart_then_alerts_with_templated_labels_are_restored() {
    let mut rig = Rig::new(SLOW);
    for second in 0..30 {
        rig.take(second, "acme", &[call(second, 1500)]);
    }
    rig.evaluate(0);
    rig.evaluate(20);
    let before = rig.alerts();
    assert_eq!((before.len(), before[0].labels["page"].as_str()), (1, "ocr of !"));
    rig.restart();
    assert_eq!(rig.alerts(), before);
    rig.evaluate(30);
    let after = rig.alerts();
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!((&after[0].labels, after[0].fired_at_ms), (&before[0].labels, before[0].fired_at_ms));
}

/// prometheus#12740: a quantile is above the greatest value that there was; spanmetrics' buckets end at 15 s.
#[test]
fn given_calls_of_any_duration_then_p99_is_not_above_the_true_maximum() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    for round in 0..40_u32 {
        let mut rig = Rig::new("");
        // From milliseconds to an hour.
        let least = 10_u64.pow(round % 6);
        let count = 1 + 37 * (round / 6);
        let calls: Vec<Call> = (0..count).map(|_| call(1, rng.random_range(least..=least * 36))).collect();
        rig.take(1, "acme", &calls);
        let mut all: Vec<f64> = calls.iter().map(|call| call.milliseconds as f64 / 1000.0).collect();
        all.sort_by(f64::total_cmp);
        let greatest = all[all.len() - 1];
        for q in [0.99, 0.999, 1.0] {
            let query = format!("histogram_quantile({q}, sum(rate(weir_call_duration_seconds[5s])))");
            let found = rig.ask(&query, 3)[0];
            let exact = all[((q * all.len() as f64).ceil() as usize).clamp(1, all.len()) - 1];
            assert!(found <= greatest, "{q}: {found} s, and the slowest call took {greatest} s");
            assert!((found / exact - 1.0).abs() < 0.01, "{q}: {found} s is not {exact} s");
        }
    }
}

/// prometheus#17482, #14085: what is missing for a while makes an alert be told as resolved.
#[test]
fn given_data_that_are_missing_for_a_while_then_no_alert_is_resolved() {
    let mut rig = Rig::new(SLOW);
    for second in 0..30 {
        rig.take(second, "acme", &[call(second, 1500)]);
    }
    rig.evaluate(0);
    rig.evaluate(30);
    assert_eq!(rig.states(), [State::Firing]);
    // Nothing comes for five minutes, so event time stands still, through a restart too.
    rig.evaluate(30);
    rig.restart();
    rig.evaluate(30);
    assert_eq!(rig.states(), [State::Firing]);
    let missing: Vec<Call> = (30..330).map(|second| call(second, 1500)).collect();
    rig.take(330, "acme", &missing);
    rig.evaluate(330);
    assert_eq!(rig.states(), [State::Firing]);
    assert_eq!(rig.evaluator.periods(), [], "it fired all the time");
}

/// prometheus#1673, #13570: a series that begins with 1 has not increased.
#[test]
fn given_a_first_error_then_it_counts_though_its_series_is_new() {
    let failed = |second| Call { is_error: true, ..call(second, 10) };
    for calls_before in [0, 20] {
        let mut rig = Rig::new(
            "{alert: Failed, expr: 'sum by (service) (increase(weir_calls_total{outcome=\"error\"}[1m])) > 0'}",
        );
        for second in 0..calls_before {
            rig.take(second, "acme", &[call(second, 10)]);
        }
        rig.evaluate(20);
        assert_eq!(rig.states(), []);
        rig.take(20, "acme", &[failed(20)]);
        rig.evaluate(21);
        assert_eq!((rig.states(), rig.alerts()[0].value), (vec![State::Firing], 1.0));
        // And is over when a minute has passed.
        rig.evaluate(81);
        assert_eq!(rig.states(), [State::Resolved]);
    }
}

/// opentelemetry-collector-contrib#36613: what waited somewhere counts as calls of when it came.
#[test]
fn given_a_backlog_that_comes_at_once_then_it_is_no_spike() {
    let rules = "{alert: Many, expr: 'sum(rate(weir_calls_total[10s])) > 5'}, {alert: Few, expr: 'sum(rate(weir_calls_total[10s])) < 5'}";
    let mut rig = Rig::new(rules);
    let calls = |second: u64| (0..5).map(move |_| call(second, 10));
    for second in 0..60 {
        rig.take(second, "acme", &calls(second).collect::<Vec<_>>());
    }
    rig.evaluate(60);
    // Ten minutes of calls, in one second.
    rig.take(660, "acme", &(60..660).flat_map(calls).collect::<Vec<_>>());
    rig.evaluate(660);
    assert_eq!(rig.alerts(), []);
    assert_eq!(rig.evaluator.periods(), []);
    for second in [70, 300, 659, 660] {
        assert_eq!(rig.ask("sum(rate(weir_calls_total[10s]))", second), [5.0], "second {second}");
    }
}

/// opentelemetry-collector-contrib#38990: names of spans that hold an id make a series of each call.
#[test]
fn given_ids_as_names_of_spans_then_series_are_bounded_and_other_tenants_unharmed() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut named = |second| {
        let id = format!("{:032x}", rng.random::<u128>());
        let id = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
        Call { name: format!("GET /files/{id}"), ..call(second, 10) }
    };
    let rewrite =
        Rewrite { pattern: "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}".to_owned(), replace: "{id}".to_owned() };
    for rewrites in [None, Some(Rewrites::new(&[rewrite]).unwrap())] {
        let is_rewritten = rewrites.is_some();
        let mut rig = Rig::new("");
        if let Some(rewrites) = rewrites {
            rig.fold = Fold::new(INTERFACES, Seen::new(600 * SECOND, 100_000)).with_rewrites(rewrites);
        }
        for second in 0..20 {
            rig.take(second, "acme", &(0..500).map(|_| named(second)).collect::<Vec<_>>());
            rig.take(second, "globex", &[call(second, 10)]);
        }
        let of = |tenant: &str| -> BTreeSet<&str> {
            let series = rig.ranges.iter().flat_map(|range| &range.series).filter(|series| series.tenant == tenant);
            series.map(|series| series.interface.as_str()).collect()
        };
        if is_rewritten {
            assert_eq!(of("acme"), ["GET /files/{id}"].into());
        } else {
            assert_eq!((of("acme").len(), of("acme").contains(OTHER)), (INTERFACES + 1, true));
        }
        let overflowed: u64 = rig.ranges.iter().map(|range| range.overflowed).sum();
        assert_eq!(overflowed, if is_rewritten { 0 } else { 10_000 - INTERFACES as u64 });
        assert_eq!(of("globex"), ["POST /ocr"].into());
        // No call is lost.
        let calls = |tenant: &str| rig.ask(&format!("sum(increase(weir_calls_total{{tenant=\"{tenant}\"}}[1m]))"), 21);
        assert_eq!((calls("acme"), calls("globex")), (vec![10_000.0], vec![20.0]));
    }
}
