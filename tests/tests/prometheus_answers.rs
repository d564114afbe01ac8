//! The same samples, the same queries, the same answers as real Prometheus.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod prometheus_answers {
    pub(crate) mod api;
    pub(crate) mod queries;
}

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prometheus_answers::queries::QUERIES;
use serde_json::Value as Json;
use weir_alerter::promql::{Number, Query, Value};
use weir_alerter::series::read::Recording;
use weir_alerter::series::store::{Refused, Store};
use weir_tests::Api;
use weir_tests::prometheus::Prometheus;

/// Unix milliseconds of the first sample; never on a step of a query, nor at the edge of a range.
const BASE: i64 = 1_700_000_000_000;
const SAMPLES: i64 = 240;
const STEP_MS: i64 = 15_000;
/// Least relative difference that counts.
const PRECISION: f64 = 1e-9;

type Labels = BTreeMap<String, String>;

/// A series with its samples.
struct Series {
    name: &'static str,
    labels: Labels,
    samples: Vec<(i64, f64)>,
}

/// The same numbers each time, from 0 to 1.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// An hour of gauges, counters with resets, gaps, a classic histogram, and values that are no numbers.
fn data() -> Vec<Series> {
    let mut chance = Chance(7);
    let mut all = Vec::new();
    let mut add = |name: &'static str, labels: &[(&str, &str)], value: &mut dyn FnMut(i64) -> Option<f64>| {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        // Scrapes are never quite on time.
        let late = all.len() as i64 * 137 % 900;
        let sample = |at: i64| Some((BASE + at * STEP_MS + late + at % 7 * 11, value(at)?));
        all.push(Series { name, labels, samples: (0..SAMPLES).filter_map(sample).collect() });
    };
    for (number, (job, instance)) in [("a", "i0"), ("a", "i1"), ("b", "i2"), ("b", "i3")].into_iter().enumerate() {
        let of = [("job", job), ("instance", instance)];
        let phase = number as f64;
        let zone = if number % 3 == 0 { "x" } else { "y" };
        add("temp", &[of[0], of[1], ("zone", zone)], &mut |at| {
            Some(20.0 + 5.0 * (at as f64 / 20.0 + phase).sin() + chance.next())
        });
        add("mem_bytes", &of, &mut |at| Some(4e9 + 1e6 * at as f64 * (1.0 + phase) + (1e5 * chance.next()).round()));
        add("constant", &of, &mut |_| Some(42.5 + (number % 2) as f64));
        add("build_info", &[of[1], ("version", if number > 1 { "2" } else { "1" })], &mut |_| Some(1.0));
        for code in ["200", "500"] {
            let mut total = 0.0;
            add("req_total", &[of[0], of[1], ("code", code)], &mut |at| {
                // Instances start anew now and then.
                if at % (70 + 10 * number as i64) == 69 {
                    total = 0.0;
                }
                total += (chance.next() * 30.0).floor();
                Some(total)
            });
        }
        let mut counts = [0.0; 4];
        let bounds = [("0.1", 0.3), ("0.5", 0.6), ("1", 0.9), ("+Inf", 1.0)];
        let rows: Vec<[f64; 4]> = (0..SAMPLES)
            .map(|_| {
                for _ in 0..20 {
                    let call = chance.next();
                    for (count, (_, share)) in counts.iter_mut().zip(bounds) {
                        *count += f64::from(u8::from(call <= share));
                    }
                }
                counts
            })
            .collect();
        for (at_bound, (le, _)) in bounds.into_iter().enumerate() {
            // All buckets of a histogram are scraped at once, here as nearly as the times above are.
            add("latency_bucket", &[of[0], of[1], ("le", le)], &mut |at| Some(rows[at as usize][at_bound]));
        }
    }
    add("gap", &[("instance", "i1")], &mut |at| (at / 40 % 2 == 0).then_some(at as f64));
    add("gap", &[("instance", "i2")], &mut |at| (at % 50 < 5).then_some(100.0 - at as f64));
    add("odd", &[("kind", "nan")], &mut |at| Some(if at % 3 == 0 { f64::NAN } else { at as f64 }));
    add("odd", &[("kind", "inf")], &mut |at| Some(if at % 4 == 0 { f64::INFINITY } else { 1.5 }));
    add("odd", &[("kind", "negative")], &mut |at| Some(-(at as f64)));
    add("odd", &[("kind", "tiny")], &mut |at| Some(1e-300 * (1 + at) as f64));
    all
}

fn openmetrics(all: &[Series]) -> String {
    let mut text = String::new();
    let mut by_name: BTreeMap<&str, Vec<&Series>> = BTreeMap::new();
    for series in all {
        by_name.entry(series.name).or_default().push(series);
    }
    for (name, family) in by_name {
        writeln!(text, "# TYPE {name} gauge").unwrap();
        for series in family {
            let labels: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            for (ms, value) in &series.samples {
                let value = if value.is_infinite() { "+Inf".to_owned() } else { value.to_string() };
                writeln!(text, "{name}{{{}}} {value} {}.{:03}", labels.join(","), ms / 1000, ms % 1000).unwrap();
            }
        }
    }
    text + "# EOF\n"
}

fn store(all: &[Series]) -> Store {
    let mut store = Store::new(i64::MAX / 4, 10_000);
    let mut refused = Refused::default();
    for series in all {
        let mut labels = series.labels.clone();
        labels.insert("__name__".to_owned(), series.name.to_owned());
        let labels = labels.into();
        for (ms, value) in &series.samples {
            store.record(&labels, *ms, &Recording::Number(*value), &mut refused);
        }
    }
    assert_eq!(refused, Refused::default());
    store
}

/// Points by labels; a scalar and a string have none.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    kind: String,
    text: String,
    points: BTreeMap<Labels, Vec<(i64, f64)>>,
    /// Of a vector, as it came.
    order: Vec<Labels>,
}

/// What Prometheus says; `None` where it says that the query is wrong.
fn theirs(body: &Json) -> Option<Answer> {
    if body["status"] != "success" {
        return None;
    }
    let data = &body["data"];
    let point = |point: &Json| {
        let value = match point[1].as_str().unwrap() {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            text => text.parse().unwrap_or(f64::NAN),
        };
        ((point[0].as_f64().unwrap() * 1000.0).round() as i64, value)
    };
    let mut answer = Answer { kind: data["resultType"].as_str().unwrap().to_owned(), ..Answer::default() };
    match answer.kind.as_str() {
        "string" => data["result"][1].as_str().unwrap().clone_into(&mut answer.text),
        "scalar" => drop(answer.points.insert(Labels::new(), vec![point(&data["result"])])),
        _ => {
            for series in data["result"].as_array().unwrap() {
                let labels: Labels = serde_json::from_value(series["metric"].clone()).unwrap();
                let values = series["values"].as_array().map(|values| values.iter().map(point).collect());
                answer.points.insert(labels.clone(), values.unwrap_or_else(|| vec![point(&series["value"])]));
                answer.order.push(labels);
            }
        }
    }
    Some(answer)
}

fn float(number: &Number) -> f64 {
    match number {
        Number::Float(value) => *value,
        Number::Histogram(_) => panic!("no histogram is in the data"),
    }
}

/// What weir says at one time.
fn ours(query: &str, store: &Store, ms: i64) -> Option<Answer> {
    let mut answer = Answer::default();
    let kind = match Query::parse(query).and_then(|query| query.at(store, ms)).ok()? {
        Value::Text(text) => {
            answer.text = text;
            "string"
        }
        Value::Scalar(value) => {
            answer.points.insert(Labels::new(), vec![(ms, value)]);
            "scalar"
        }
        Value::Vector(samples) => {
            for sample in samples {
                answer.points.insert(sample.labels.to_map(), vec![(ms, float(&sample.value))]);
                answer.order.push(sample.labels.to_map());
            }
            "vector"
        }
        Value::Matrix(ranges) => {
            for range in ranges {
                let points = range.points.iter().map(|(ms, value)| (*ms, float(value))).collect();
                answer.points.insert(range.labels.to_map(), points);
            }
            "matrix"
        }
    };
    Some(Answer { kind: kind.to_owned(), ..answer })
}

fn ours_over(query: &str, store: &Store, (start, end, step): (i64, i64, i64)) -> Option<Answer> {
    let ranges = Query::parse(query).and_then(|query| query.range(store, start, end, step)).ok()?;
    let points = |range: weir_alerter::promql::Range| {
        let points = range.points.iter().map(|(ms, value)| (*ms, float(value))).collect();
        (range.labels.to_map(), points)
    };
    Some(Answer { kind: "matrix".to_owned(), points: ranges.into_iter().map(points).collect(), ..Answer::default() })
}

fn is_same(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || a.to_bits() == b.to_bits() || (a - b).abs() <= PRECISION * a.abs().max(b.abs())
}

/// The first difference between two answers.
fn difference(ours: Option<&Answer>, theirs: Option<&Answer>) -> Option<String> {
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        let told = |answer: Option<&Answer>| if answer.is_some() { "answers" } else { "refuses" };
        return (ours.is_some() != theirs.is_some())
            .then(|| format!("weir {}, Prometheus {}", told(ours), told(theirs)));
    };
    if (&ours.kind, &ours.text) != (&theirs.kind, &theirs.text) {
        return Some(format!("weir: {} {}, Prometheus: {} {}", ours.kind, ours.text, theirs.kind, theirs.text));
    }
    let (own, other): (Vec<_>, Vec<_>) = (ours.points.keys().collect(), theirs.points.keys().collect());
    if own != other {
        return Some(format!("weir has series {own:?}, Prometheus {other:?}"));
    }
    for (labels, points) in &ours.points {
        let others = &theirs.points[labels];
        let differ = points.iter().zip(others).find(|(a, b)| a.0 != b.0 || !is_same(a.1, b.1));
        if points.len() != others.len() || differ.is_some() {
            return Some(format!("{labels:?}: {} and {} points, {differ:?}", points.len(), others.len()));
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn given_the_same_samples_then_each_query_is_answered_as_prometheus_answers_it() {
    let all = data();
    let prometheus = match Prometheus::start_with(&openmetrics(&all)) {
        Ok(prometheus) => prometheus,
        Err(error) => {
            return weir_tests::skip("each_query_is_answered_as_prometheus_answers_it", &format!("{error:#}"));
        }
    };
    let (store, api) = (store(&all), Api::new(&prometheus.url()).unwrap());
    let text = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
    let mut wrong = Vec::new();
    for &query in QUERIES {
        for minutes in [23, 31, 58] {
            let ms = BASE + minutes * 60_000 + 7_013;
            let (_, body) =
                api.get("/prometheus/api/v1/query", &[("query", query), ("time", &text(ms))]).await.unwrap();
            let (ours, theirs) = (ours(query, &store, ms), theirs(&body));
            if let Some(difference) = difference(ours.as_ref(), theirs.as_ref()) {
                wrong.push(format!("{query} at {minutes} m: {difference}: {}", body["error"]));
            }
            if query.starts_with("sort") || query.starts_with("topk") || query.starts_with("bottomk(") {
                let order = |answer: Option<Answer>| answer.map(|answer| answer.order);
                if order(ours) != order(theirs) {
                    wrong.push(format!("{query} at {minutes} m: another order"));
                }
            }
        }
        let range = (BASE + 21 * 60_000 + 7_013, BASE + 59 * 60_000 + 13, 41_000);
        let (start, end) = (text(range.0), text(range.1));
        let parameters = [("query", query), ("start", start.as_str()), ("end", end.as_str()), ("step", "41")];
        let (_, body) = api.get("/prometheus/api/v1/query_range", &parameters).await.unwrap();
        if let Some(difference) = difference(ours_over(query, &store, range).as_ref(), theirs(&body).as_ref()) {
            wrong.push(format!("{query} over the range: {difference}: {}", body["error"]));
        }
    }
    assert!(QUERIES.len() >= 150);
    assert!(wrong.is_empty(), "{} of {} answers differ:\n{}", wrong.len(), QUERIES.len() * 4, wrong.join("\n"));
}
