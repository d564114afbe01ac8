mod scripts;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::series::read::{Data, Labels, MatchOp, Series};
use weir_calls::Hdr;

/// A store for tests: series as they are, cut to the range asked for.
#[derive(Default)]
pub(crate) struct Store(pub(crate) Vec<Series>);

pub(crate) fn labels(of: &[(&str, &str)]) -> Labels {
    of.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

impl Read for Store {
    fn each(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, take: &mut dyn FnMut(Series) -> ControlFlow<()>) {
        let within = |ms: i64| ms > start_ms && ms <= end_ms;
        let keep = |series: &&Series| {
            matchers.iter().all(|m| {
                let value = series.labels.get(&m.name).unwrap_or_default();
                let regex = || regex::Regex::new(&format!("^(?:{})$", m.value)).unwrap();
                match m.op {
                    MatchOp::Equal => value == m.value,
                    MatchOp::NotEqual => value != m.value,
                    MatchOp::Match => regex().is_match(value),
                    MatchOp::NoMatch => !regex().is_match(value),
                }
            })
        };
        let cut = |series: &Series| {
            let data = match &series.data {
                Data::Counter { before, deltas, lasts } => Data::Counter {
                    lasts: *lasts,
                    before: before + deltas.iter().filter(|d| d.0 * 1000 <= start_ms).map(|d| d.1).sum::<f64>(),
                    deltas: deltas.iter().copied().filter(|d| within(d.0 * 1000)).collect(),
                },
                Data::Gauge(samples) => Data::Gauge(samples.iter().copied().filter(|s| within(s.0)).collect()),
                Data::Histogram(slots) => {
                    Data::Histogram(slots.iter().filter(|s| within(s.0 * 1000)).cloned().collect())
                }
                Data::Recorded(samples) => Data::Recorded(samples.iter().filter(|s| within(s.0)).cloned().collect()),
            };
            Series { labels: series.labels.clone(), data }
        };
        let _ = self.0.iter().filter(keep).map(cut).try_for_each(take);
    }
}

/// A folder of the test data that `WEIR_TEST_DATA` names; skips the test where there is none.
pub(crate) fn data(test: &str, folder: &str) -> Option<PathBuf> {
    let path = std::env::var_os("WEIR_TEST_DATA").map(|data| Path::new(&data).join(folder));
    let path = path.filter(|path| path.is_dir());
    if path.is_none() {
        assert!(std::env::var_os("WEIR_TEST_REQUIRE").is_none_or(|value| value != "all"), "{test} cannot be skipped");
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: {test}: WEIR_TEST_DATA names no folder with {folder}\n"),
        );
    }
    path
}

fn counter(of: &[(&str, &str)], deltas: &[(i64, f64)]) -> Series {
    Series { labels: labels(of), data: Data::Counter { before: 0.0, deltas: deltas.to_vec(), lasts: true } }
}

pub(crate) fn gauge(of: &[(&str, &str)], samples: &[(i64, f64)]) -> Series {
    Series { labels: labels(of), data: Data::Gauge(samples.to_vec()) }
}

fn calls() -> Store {
    let histogram = |interface: &str, millis: std::ops::RangeInclusive<u64>| {
        let mut hdr = Hdr::default();
        millis.for_each(|m| hdr.record(m * 1000));
        Series {
            labels: labels(&[("__name__", "d"), ("interface", interface)]),
            data: Data::Histogram(vec![(100, Arc::new(hdr))]),
        }
    };
    Store(vec![
        counter(&[("__name__", "c"), ("interface", "a"), ("outcome", "ok")], &[(50, 4.0), (100, 6.0)]),
        counter(&[("__name__", "c"), ("interface", "a"), ("outcome", "error")], &[(100, 2.0)]),
        counter(&[("__name__", "c"), ("interface", "b"), ("outcome", "ok")], &[(90, 30.0)]),
        gauge(&[("__name__", "limit"), ("interface", "a")], &[(10_000, 3.0)]),
        gauge(&[("__name__", "limit"), ("interface", "b")], &[(10_000, 40.0)]),
        Series {
            labels: labels(&[("__name__", "seen")]),
            data: Data::Counter { before: 2.0, deltas: vec![(10, 3.0), (20, 0.0)], lasts: false },
        },
        gauge(&[("__name__", "gone")], &[(10_000, 1.0), (20_000, STALE)]),
        gauge(&[("__name__", "b_bucket"), ("le", "1"), ("x", "y")], &[(90_000, 2.0)]),
        gauge(&[("__name__", "b_bucket"), ("le", "2"), ("x", "y")], &[(90_000, 8.0)]),
        gauge(&[("__name__", "b_bucket"), ("le", "+Inf"), ("x", "y")], &[(90_000, 10.0)]),
        histogram("a", 1..=100),
        histogram("b", 101..=200),
    ])
}

/// The answer as text: `{labels} value` by line.
fn ask(query: &str, seconds: i64) -> String {
    let value = Query::parse(query).and_then(|q| q.at(&calls(), seconds * 1000));
    match value {
        Ok(Value::Scalar(value)) => value.to_string(),
        Ok(Value::Vector(samples)) => samples
            .iter()
            .map(|s| {
                let labels: Vec<String> = s.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
                match &s.value {
                    Number::Float(value) => format!("{{{}}} {value}", labels.join(",")),
                    Number::Histogram(h) => format!("{{{}}} histogram of {}", labels.join(","), h.count()),
                }
            })
            .collect::<Vec<_>>()
            .join("\n"),
        Ok(Value::Text(text)) => format!("{text:?}"),
        Ok(Value::Matrix(ranges)) => {
            let samples: usize = ranges.iter().map(|range| range.points.len()).sum();
            format!("{} series of {samples} samples", ranges.len())
        }
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn answers_are_as_written() {
    let cases: &[(&str, i64, &str)] = &[
        ("1 + 2 * 3 ^ 2", 0, "19"),
        ("-(2 - 5) % 2", 0, "1"),
        ("1 < bool 2", 0, "1"),
        ("time()", 7, "7"),
        // Counters: increases are exact, the first one counts, and the window is open at its start.
        (r#"increase(c{interface="a",outcome="ok"}[50s])"#, 100, "{interface=a,outcome=ok} 6"),
        (r#"increase(c{interface="a",outcome="ok"}[51s])"#, 100, "{interface=a,outcome=ok} 10"),
        (r#"rate(c{outcome="error"}[1s])"#, 100, "{interface=a,outcome=error} 2"),
        (r#"rate(c{outcome="error"}[10s])"#, 200, "{interface=a,outcome=error} 0"),
        (r#"increase(c{interface="b"}[1m] offset 1m)"#, 150, "{interface=b,outcome=ok} 30"),
        (r#"c{interface="b"}"#, 1000, "{__name__=c,interface=b,outcome=ok} 30"),
        (r#"c{interface="b"}"#, 80, ""),
        (r#"c{interface=~"a|x",outcome!="ok"}"#, 100, "{__name__=c,interface=a,outcome=error} 2"),
        (r#"c{interface!~"a.*"}"#, 100, "{__name__=c,interface=b,outcome=ok} 30"),
        // A counter that is seen only when it is told is not there when nobody tells.
        ("seen", 300, "{__name__=seen} 5"),
        ("seen", 320, ""),
        ("increase(seen[1m])", 60, "{} 3"),
        ("rate(seen[5s])", 20, "{} 0"),
        ("increase(seen[1m])", 80, ""),
        ("absent(seen)", 320, "{} 1"),
        // Gauges: five minutes of memory.
        ("limit > 5", 100, "{__name__=limit,interface=b} 40"),
        ("limit > bool 5", 100, "{interface=a} 0\n{interface=b} 1"),
        ("5 < limit", 100, "{__name__=limit,interface=b} 40"),
        ("limit", 310, ""),
        ("gone", 15, "{__name__=gone} 1"),
        ("gone", 25, ""),
        ("-limit + 1", 100, "{interface=a} -2\n{interface=b} -39"),
        // Aggregations.
        ("sum(increase(c[100s]))", 100, "{} 42"),
        ("sum by (interface) (increase(c[100s]))", 100, "{interface=a} 12\n{interface=b} 30"),
        ("count without (outcome) (c)", 100, "{interface=a} 2\n{interface=b} 1"),
        ("max(limit) - min(limit)", 100, "{} 37"),
        ("avg(limit)", 100, "{} 21.5"),
        // Matching.
        (
            r#"sum by (interface) (increase(c{outcome="error"}[1m])) / sum by (interface) (increase(c[1m]))"#,
            100,
            "{interface=a} 0.16666666666666666",
        ),
        (
            "increase(c[100s]) / ignoring(outcome) group_left limit > 1",
            100,
            "{interface=a,outcome=ok} 3.3333333333333335",
        ),
        ("sum without (outcome) (c) > ignoring (outcome) limit", 100, "{interface=a} 12"),
        ("limit and on (interface) c{outcome=\"error\"}", 100, "{__name__=limit,interface=a} 3"),
        ("limit unless on (interface) c{outcome=\"error\"}", 100, "{__name__=limit,interface=b} 40"),
        ("sum(limit) or limit", 100, "{} 43\n{__name__=limit,interface=a} 3\n{__name__=limit,interface=b} 40"),
        ("vector(2) * 3", 0, "{} 6"),
        ("scalar(sum(limit)) + 1", 100, "44"),
        ("absent(nothing{a=\"b\",c=~\"d\"})", 0, "{a=b} 1"),
        ("absent(limit)", 100, ""),
        // Aggregations of one series out of many.
        ("topk(1, c)", 100, "{__name__=c,interface=b,outcome=ok} 30"),
        ("bottomk by (interface) (1, limit)", 100, "{__name__=limit,interface=a} 3\n{__name__=limit,interface=b} 40"),
        ("quantile(0.5, limit)", 100, "{} 21.5"),
        ("stddev(limit)", 100, "{} 18.5"),
        ("count_values(\"v\", limit)", 100, "{v=3} 1\n{v=40} 1"),
        ("sort_desc(limit)", 100, "{__name__=limit,interface=b} 40\n{__name__=limit,interface=a} 3"),
        // Times and subqueries.
        ("limit @ 100 > 5", 5, "{__name__=limit,interface=b} 40"),
        ("limit offset -10s > 5", 5, "{__name__=limit,interface=b} 40"),
        ("increase(c{interface=\"b\"}[1m] @ 90)", 500, "{interface=b,outcome=ok} 30"),
        ("sum_over_time(limit{interface=\"a\"}[30s:10s])", 40, "{interface=a} 9"),
        ("max_over_time(rate(c{interface=\"b\"}[1m])[2m:1s])", 100, "{interface=b,outcome=ok} 0.5"),
        ("max_over_time(sum(increase(c[1s]))[2m:1s])", 100, "{} 30"),
        ("timestamp(limit{interface=\"a\"})", 100, "{interface=a} 10"),
        // What counters kept as increases have beside their sums.
        ("irate(c{interface=\"b\"}[1m])", 90, "{interface=b,outcome=ok} 30"),
        ("irate(c{interface=\"b\"}[1m])", 100, "{interface=b,outcome=ok} 0"),
        ("irate(seen[1m])", 20, "{} 0"),
        ("resets(c{interface=\"b\"}[1m])", 100, "{interface=b,outcome=ok} 0"),
        ("last_over_time(c{interface=\"b\"}[1m])", 1000, "{__name__=c,interface=b,outcome=ok} 30"),
        ("absent_over_time(c{interface=\"b\"}[1m])", 1000, ""),
        ("absent_over_time(c{interface=\"x\"}[1m])", 1000, "{interface=x} 1"),
        // Strings, and samples as they are.
        ("`a\\d\"b`", 0, r#""a\\d\"b""#),
        ("limit{interface=~`[\\w]`,interface!=`a`} + 0", 100, "{interface=b} 40"),
        ("\"text\"", 0, "\"text\""),
        ("limit[5m]", 100, "2 series of 2 samples"),
        ("limit[1m:10s]", 40, "2 series of 8 samples"),
        (
            "label_replace(limit, \"to\", \"$1!\", \"interface\", \"(b)\") > 5",
            100,
            "{__name__=limit,interface=b,to=b!} 40",
        ),
        (
            "label_join(limit, \"to\", \"-\", \"interface\", \"__name__\") > 5",
            100,
            "{__name__=limit,interface=b,to=b-limit} 40",
        ),
        // Histograms.
        ("histogram_fraction(0, 0.1, increase(d[10s]))", 100, "{interface=a} 0.993125\n{interface=b} 0"),
        ("round(histogram_stddev(d{interface=\"a\"}), 0.001)", 100, "{interface=a} 0.029"),
        ("histogram_fraction(0, 1.5, b_bucket)", 100, "{x=y} 0.5"),
        ("sum(rate(d[10s]))", 100, "{} histogram of 20"),
        ("histogram_count(avg_over_time(d[10s]))", 100, "{interface=a} 100\n{interface=b} 100"),
        ("histogram_count(increase(d[10s]))", 100, "{interface=a} 100\n{interface=b} 100"),
        ("histogram_quantile(1, sum(rate(d[1m])))", 100, "{} 0.2"),
        ("histogram_quantile(0, sum(rate(d[1m])))", 100, "{} 0.001001"),
        ("round(histogram_avg(d{interface=\"a\"}), 0.0005)", 100, "{interface=a} 0.0505"),
        ("histogram_quantile(0.99, d)", 500, ""),
        ("histogram_quantile(0.5, sum by (le) (b_bucket))", 100, "{} 1.5"),
        ("histogram_quantile(0.5, b_bucket)", 100, "{x=y} 1.5"),
        ("round(histogram_quantile(0.5, d), 0.01)", 100, "{interface=a} 0.05\n{interface=b} 0.15"),
    ];
    for (query, seconds, expected) in cases {
        assert_eq!(ask(query, *seconds), *expected, "{query}");
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (query, named) in [
        ("double_exponential_smoothing(x[5m], 0.5, 0.5)", "function `double_exponential_smoothing`"),
        ("info(x)", "function `info`"),
        ("sort_by_label(x, \"a\")", "function `sort_by_label`"),
        ("start()", "function `start`"),
        ("limitk(3, x)", "aggregation `limitk`"),
        ("x{a=\"b\" or c=\"d\"}", "matcher `or`"),
        ("a + fill(0) b", "modifier `fill`"),
        ("-\"text\"", "string"),
        ("-x[5m]", "matrix"),
        ("x[5m] + 1", "scalar and instant vector"),
        ("label_replace(x, \"\", \"b\", \"c\", \"d\")", "invalid label name"),
        ("label_replace(x, \"a\", \"b\", \"c\", \"(\")", "not a regular expression"),
        ("count_values(\"\", x)", "the name of a label"),
        ("sum(1)", "vector"),
        ("rate(x)", "type matrix"),
        ("1 < 2", "BOOL"),
        ("x +", "not a valid expression"),
        ("nosuch(x)", "nosuch"),
    ] {
        let error = Query::parse(query).unwrap_err().to_string();
        assert!(error.contains(named) || (named == "vector" && error.contains("type")), "{query}: {error}");
    }
}

#[test]
fn what_the_data_do_not_allow_is_an_error_and_not_silence() {
    for (query, part) in [
        ("limit / on () c", "many-to-many matching"),
        ("c / ignoring (outcome) limit", "many-to-one"),
        ("c > ignoring (outcome) limit", "many-to-one"),
        ("d > 1", "does not take histograms"),
        ("rate(d[1m]) + ignoring (interface) group_left sum(rate(d[2m]))", "different ranges"),
        ("histogram_sum(limit)", "takes histograms"),
        ("max_over_time(d[1m:10s])", "a subquery is of numbers"),
        ("topk(0/0, limit)", "Parameter value is NaN"),
        ("topk(1, d)", "histograms have no order"),
        ("sort(d)", "histograms have no order"),
        ("max(d)", "least"),
        ("sum_over_time({interface=\"b\",__name__=~\"limit|d\"}[5m])", "same labelset"),
    ] {
        let answer = ask(query, 100);
        assert!(answer.contains(part), "{query}: {answer}");
    }
}

#[test]
fn a_range_query_gives_each_step_what_an_instant_query_gives() {
    let store = calls();
    for text in
        ["sum by (interface) (rate(c[20s]))", "c", "limit * 2", "histogram_quantile(0.9, rate(d[30s]))", "time()"]
    {
        let query = Query::parse(text).unwrap();
        let ranges = query.range(&store, 0, 400_000, 7_000).unwrap();
        let mut points = 0;
        for time in (0..=400_000).step_by(7_000) {
            match query.at(&store, time).unwrap() {
                Value::Scalar(value) => {
                    assert!(ranges[0].points.contains(&(time, Number::Float(value))));
                    points += 1;
                }
                Value::Vector(samples) => {
                    for sample in samples {
                        let range = ranges.iter().find(|r| r.labels == sample.labels).unwrap();
                        assert!(range.points.contains(&(time, sample.value)), "{text} at {time}");
                        points += 1;
                    }
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(points, ranges.iter().map(|r| r.points.len()).sum::<usize>(), "{text}");
    }
}

#[test]
fn a_rate_over_samples_of_a_total_is_extrapolated_as_prometheus_does() {
    let samples: Vec<(i64, f64)> = (0..=10).map(|i| (i * 10_000, i as f64 * 10.0)).collect();
    let store = Store(vec![gauge(&[("__name__", "x")], &samples)]);
    let at = |text: &str| match Query::parse(text).unwrap().at(&store, 100_000).unwrap() {
        Value::Vector(samples) => samples[0].value.clone(),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(at("rate(x[50s])"), Number::Float(1.0));
    assert_eq!(at("increase(x[50s])"), Number::Float(50.0));
    assert_eq!(at("avg_over_time(x[30s])"), Number::Float(90.0));
    assert_eq!(at("count_over_time(x[30s])"), Number::Float(3.0));
}

#[test]
fn a_range_query_over_the_limits_is_refused() {
    let query = Query::parse("x").unwrap();
    assert!(query.range(&Store::default(), 0, 11_000_000, 1_000).is_err());
    assert!(query.range(&Store::default(), 0, 10_999_000, 1_000).is_ok());
    assert!(query.range(&Store::default(), 0, 1, 0).is_err());
    assert!(query.range(&Store::default(), 1, 0, 1).is_err());
    assert!(query.range(&Store::default(), i64::MIN, i64::MAX, 1).is_err());
}

#[test]
fn a_subquery_has_the_step_that_it_names_or_the_default() {
    let count = |resolution: Option<i64>, text: &str| {
        let mut query = Query::parse(text).unwrap();
        if let Some(step_ms) = resolution {
            query.set_resolution(step_ms);
        }
        match query.at(&calls(), 600_000).unwrap() {
            Value::Vector(samples) => samples[0].value.clone(),
            other => panic!("{text}: {other:?}"),
        }
    };
    for (resolution, text, want) in [
        (None, "count_over_time(vector(1)[10m:])", 10.0),
        (Some(30_000), "count_over_time(vector(1)[10m:])", 20.0),
        (Some(30_000), "count_over_time(vector(1)[10m:2m])", 5.0),
        (None, "count_over_time(vector(1)[10m:7m])", 1.0),
    ] {
        assert_eq!(count(resolution, text), Number::Float(want), "{text}");
    }
}

#[test]
fn how_far_back_a_query_looks_is_known_from_its_text() {
    let back = |text: &str| Query::parse(text).unwrap().selectors().map(|(_, back)| back).collect::<Vec<_>>();
    let (minute, hour) = (60_000, 3_600_000);
    assert_eq!(back("x + x offset 1m - rate(x[1h] offset -1m)"), [0, minute, hour]);
    assert_eq!(back("max_over_time(rate(x[1h] offset 1m)[1h:1m] offset 1m)"), [2 * hour + 2 * minute]);
    assert_eq!(back("x @ 100 + max_over_time(x[1h:1m] @ 100) + x @ end()"), [i64::MAX, i64::MAX, 0]);
}

#[test]
fn a_query_that_costs_too_much_is_refused() {
    for text in ["count_over_time(vector(1)[10y:1ms])", "max_over_time(vector(1)[100d:2s])"] {
        let error = Query::parse(text).unwrap().at(&calls(), 1_700_000_000_000).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{text}: {error}");
    }
}

#[test]
fn deep_long_or_mad_text_is_refused_and_does_not_end_the_program() {
    for text in [
        "(".repeat(5000),
        format!("{}1{}", "(".repeat(200), ")".repeat(200)),
        "-".repeat(5000) + "x",
        vec!["1"; 3000].join("+"),
        "x".repeat(20_000),
        "x[1e300]".to_owned(),
        "x offset -1e300".to_owned(),
        "x[99999999999y]".to_owned(),
        "rate(x[-5])".to_owned(),
        "rate(x[5:1e300])".to_owned(),
        "x @ 1e300".to_owned(),
    ] {
        assert!(Query::parse(&text).is_err(), "{}", &text[..text.len().min(30)]);
    }
}

/// Expressions over the series of [`calls`]: right ones mostly, of all functions and operators.
fn expression() -> impl Strategy<Value = String> {
    let number = prop::sample::select(vec!["0", "1", "-1", "0.5", "1e300", "-Inf", "NaN", "2", "99999999999", "0x1f"]);
    let series = ["c", "limit", "seen", "gone", "b_bucket", "d", "{interface=\"a\"}", "{__name__=~\".+\"}"];
    let suffix = ["", " @ 100", " @ end()", " offset 10s", " offset -1d", " @ -5 offset 10y", " @ 9e15"];
    let range = ["[1m]", "[1ms]", "[10y]", "[1m:10s]", "[5m:]", "[1d:3s]", "[10y:1ms]", "[3s:1h]"];
    let leaf = prop_oneof![
        number.prop_map(str::to_owned),
        (prop::sample::select(series.to_vec()), prop::sample::select(suffix.to_vec()))
            .prop_map(|(series, suffix)| format!("{series}{suffix}")),
    ];
    let binary = ["+", "-", "*", "/", "%", "^", "atan2", "==", "> bool", "and", "or", "unless", "/ on (interface)"];
    let aggregations = ["sum", "avg by (interface)", "max without (le)", "stddev", "count", "group", "min"];
    let ranked = ["topk", "bottomk", "quantile"];
    leaf.prop_recursive(4, 16, 3, move |inner| {
        let pick = |of: &[&'static str]| prop::sample::select(of.to_vec());
        prop_oneof![
            (pick(&binary), inner.clone(), inner.clone()).prop_map(|(op, a, b)| format!("({a}) {op} ({b})")),
            (pick(&aggregations), inner.clone()).prop_map(|(op, of)| format!("{op} ({of})")),
            (pick(&ranked), inner.clone(), inner.clone()).prop_map(|(op, a, b)| format!("{op}({a}, {b})")),
            (pick(&FUNCTIONS), pick(&range), inner.clone(), inner.clone(), 0..6_usize).prop_map(
                |(name, range, a, b, shape)| match shape {
                    0 => format!("{name}({a})"),
                    1 => format!("{name}(({a}){range})"),
                    2 => format!("{name}({a}, ({b}){range})"),
                    3 => format!("{name}(({a}){range}, {b})"),
                    4 => format!("{name}({a}, {b})"),
                    _ => format!("{name}(limit{range} offset 5s)"),
                }
            ),
            inner.prop_map(|of| format!("-({of})")),
        ]
    })
}

proptest! {
    #[test]
    fn any_expression_is_answered_or_refused(text in expression(), time in prop::sample::select(vec![
        100_000, 0, -1, i64::MIN, i64::MAX, 1_700_000_000_000,
    ])) {
        if let Ok(query) = Query::parse(&text) {
            let _ = query.at(&calls(), time);
            let _ = query.range(&calls(), time.saturating_sub(60_000), time, 20_000);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in r#"[-+*/a-z(){}\[\]"'`#=~!<>0-9:., @\\é\n]{0,60}"#) {
        if let Ok(query) = Query::parse(&text) {
            let _ = query.at(&calls(), 100_000);
        }
    }

    #[test]
    fn the_increases_of_neighbouring_windows_add_up(
        deltas in prop::collection::btree_map(1_i64..200, 1_u32..1000, 0..50), cut in 0_i64..200,
    ) {
        let deltas: Vec<(i64, f64)> = deltas.into_iter().map(|(s, d)| (s, f64::from(d))).collect();
        let all: f64 = deltas.iter().map(|d| d.1).sum();
        let store = Store(vec![counter(&[("__name__", "c")], &deltas)]);
        let increase = |seconds: i64, at: i64| {
            if seconds == 0 { return 0.0 }
            match Query::parse(&format!("increase(c[{seconds}s])")).unwrap().at(&store, at * 1000).unwrap() {
                Value::Vector(samples) => match samples[0].value { Number::Float(v) => v, Number::Histogram(_) => f64::NAN },
                _ => f64::NAN,
            }
        };
        prop_assert!((increase(cut, cut) + increase(200 - cut, 200) - all).abs() < f64::EPSILON);
    }
}
