//! Prometheus' own scripts, as the folder of test data holds them: format in its `promqltest-FORMAT.md`.
//!
//! What these do not prove: annotations and the texts of errors are not compared, and what is left out is named by
//! reason in the output.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::super::{Error, Number, Query, Value, notation};
use super::{Store, data};
use crate::rules::parse_duration;
use crate::series::read::{Data, Labels, Series};

/// Each script, and how many of its statements must hold at least, of how many; these numbers only rise.
const SCRIPTS: [(&str, usize, usize); 13] = [
    ("aggregators", 123, 123),
    ("at_modifier", 76, 76),
    ("collision", 2, 2),
    // The parser reads "\xff" as a character, so that a name that is not UTF-8 is not refused.
    ("functions", 247, 248),
    ("histograms", 82, 82),
    ("literals", 25, 25),
    ("name_label_dropping", 13, 13),
    ("operators", 142, 142),
    ("range_queries", 14, 14),
    ("selectors", 31, 31),
    ("staleness", 17, 17),
    ("subquery", 32, 32),
    ("trig_functions", 19, 19),
];

/// Scripts that are left out as a whole, and why.
const LEFT_OUT: [(&str, &str); 8] = [
    ("duration_expression", "experimental: durations as expressions"),
    ("extended_vectors", "experimental: anchored and smoothed"),
    ("fill-modifier", "experimental: fill"),
    ("info", "experimental: info()"),
    ("limit", "experimental: limitk and limit_ratio"),
    ("native_histograms", "native histograms"),
    ("start_timestamps", "experimental: start timestamps"),
    ("type_and_unit", "experimental: type and unit as labels"),
];

/// What only Prometheus with an experimental feature understands.
static EXPERIMENTAL: LazyLock<Regex> = LazyLock::new(|| {
    let functions = [
        "first_over_time|mad_over_time|ts_of_\\w+|histogram_quantiles|double_exponential_smoothing|integral|info",
        "sort_by_label\\w*|limitk|limit_ratio|max_of|min_of|step|range|start_timestamp|fill\\w*",
    ];
    let functions = functions.join("|");
    let pattern = format!(r"\b({functions})\s*\(|\b(anchored|smoothed)\b|(^|[^@ ])\s*\b(start|end)\(\)");
    Regex::new(&pattern).unwrap()
});
/// What gives another answer where names are removed late, an experimental feature that one script assumes.
static DELAYED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"__name__|rate\(\{").unwrap());
/// A selector without a name.
static NAMELESS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(^|[^\w:\s])\s*\{").unwrap());

/// One command of a script, with the lines that belong to it.
struct Command<'a> {
    line: usize,
    head: &'a str,
    body: Vec<&'a str>,
}

fn commands(text: &str) -> Vec<Command<'_>> {
    let starts = |line: &str| ["load", "eval", "clear"].iter().any(|word| line.starts_with(word));
    let mut all: Vec<Command<'_>> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if starts(line) {
            all.push(Command { line: at + 1, head: line, body: Vec::new() });
            open = line != "clear";
        } else if line.is_empty() {
            open = false;
        } else if let (true, false, Some(last)) = (open, line.starts_with('#'), all.last_mut()) {
            last.body.push(line);
        }
    }
    all
}

/// What is loaded.
#[derive(Default)]
struct Loaded {
    series: BTreeMap<Labels, Vec<(i64, f64)>>,
    /// Names of series that have native histograms.
    native: Vec<String>,
}

impl Loaded {
    fn load(&mut self, command: &Command<'_>) {
        let mut words = command.head.split_whitespace();
        let makes_native = words.next() == Some("load_with_nhcb");
        let step = millis(words.next().unwrap());
        for line in &command.body {
            let name = line.split(|c: char| c == '{' || c.is_whitespace()).next().unwrap_or_default().to_owned();
            if makes_native && let Some(name) = name.strip_suffix("_bucket") {
                self.native.push(name.to_owned());
            }
            if line.contains("{{") || line.contains(" @") {
                self.native.push(name);
                continue;
            }
            let (labels, values) = series(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            let samples = self.series.entry(labels).or_default();
            samples.extend(values.into_iter().map(|(at, value)| (at * step, value)));
            samples.sort_by_key(|sample| sample.0);
        }
    }

    fn store(&self) -> Store {
        let of = |(labels, samples): (&Labels, &Vec<(i64, f64)>)| Series {
            labels: labels.clone(),
            data: Data::Gauge(samples.clone()),
        };
        Store(self.series.iter().map(of).collect())
    }

    /// Why a statement is left out.
    fn left_out(&self, command: &Command<'_>, script: &str, expression: &str) -> Option<&'static str> {
        let is_native = |name: &String| has_word(expression, name);
        if EXPERIMENTAL.is_match(expression) {
            Some("experimental")
        } else if script == "name_label_dropping" && DELAYED.is_match(expression) {
            Some("experimental: delayed removal of names")
        } else if command.body.iter().any(|line| line.contains("{{"))
            || self.native.iter().any(is_native)
            || (!self.native.is_empty() && NAMELESS.is_match(expression))
        {
            Some("native histograms")
        } else {
            None
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '.');
    !word.is_empty()
        && text
            .match_indices(word)
            .any(|(at, _)| !text[..at].ends_with(inside) && !text[at + word.len()..].starts_with(inside))
}

/// Reads a series and, behind it, its values by interval; `None` where there is no sample.
fn series(line: &str) -> Result<(Labels, Points), Error> {
    let end = face_end(line);
    Ok((notation::labels(&line[..end])?, notation::values(&line[end..])?))
}

/// Where the values begin: behind the braces, or behind the name where there are none.
fn face_end(line: &str) -> usize {
    let (mut quote, mut escaped, mut open) = (None, false, false);
    for (at, c) in line.char_indices() {
        match quote {
            Some(end) => {
                if c == end && !escaped {
                    quote = None;
                }
                escaped = c == '\\' && !escaped && end != '`';
            }
            None if open && matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '{' => open = true,
            None if c == '}' => return at + 1,
            None if c.is_whitespace() && !open && !line[at..].trim_start().starts_with('{') => return at,
            None => {}
        }
    }
    line.len()
}

fn millis(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let seconds = text.parse::<f64>().ok().map(|seconds| (seconds * 1000.0).round() as i64);
    sign * seconds.or_else(|| parse_duration(text)).unwrap_or_else(|| panic!("{text} is no time"))
}

/// As Prometheus compares in its scripts: equal to a millionth of their sum.
#[allow(clippy::float_cmp, reason = "equal values are close, infinite ones too")]
fn is_close(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() || a == b {
        return (a.is_nan() && b.is_nan()) || a == b;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < 1e-6 * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < 1e-6
}

type Points = Vec<(i64, f64)>;

fn float(number: &Number) -> Result<f64, String> {
    match number {
        Number::Float(value) => Ok(*value),
        Number::Histogram(_) => Err("a histogram".to_owned()),
    }
}

/// Compares series with what is expected of them; in their order where that is asked for.
fn compare(got: &[(Labels, Points)], want: &[(Labels, Points)], ordered: bool) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} series, not {}: {got:?}", got.len(), want.len()));
    }
    for (at, (labels, points)) in want.iter().enumerate() {
        let found = if ordered { got.get(at).filter(|g| g.0 == *labels) } else { got.iter().find(|g| g.0 == *labels) };
        let Some((_, found)) = found else { return Err(format!("no {labels:?} in its place: {got:?}")) };
        let is_same =
            found.len() == points.len() && found.iter().zip(points).all(|(a, b)| a.0 == b.0 && is_close(a.1, b.1));
        if !is_same {
            return Err(format!("{labels:?}: {found:?}, not {points:?}"));
        }
    }
    Ok(())
}

fn expected(lines: &[&str], start: i64, step: i64) -> Result<Vec<(Labels, Points)>, String> {
    let read = |line: &&str| {
        let (labels, values) = series(line).map_err(|error| format!("{line}: {error}"))?;
        Ok((labels, values.into_iter().map(|(at, value)| (start + at * step, value)).collect()))
    };
    lines.iter().map(read).collect()
}

/// Expectations and expected lines.
fn split<'a>(command: &Command<'a>) -> (Vec<&'a str>, Vec<&'a str>) {
    command.body.iter().partition(|line| line.starts_with("expect"))
}

fn instant(command: &Command<'_>, store: &Store, time: i64, text: &str) -> Result<(), String> {
    let (expectations, lines) = split(command);
    let says = |word: &str| expectations.iter().find_map(|line| line.strip_prefix("expect ")?.strip_prefix(word));
    let answer = Query::parse(text).and_then(|query| query.at(store, time));
    if command.head.starts_with("eval_fail") || says("fail").is_some() || has_old_failure(&expectations) {
        return answer.map_or(Ok(()), |value| Err(format!("no error, but {value:?}")));
    }
    let value = answer.map_err(|error| error.to_string())?;
    let ordered = says("ordered").is_some() || command.head.starts_with("eval_ordered");
    match &value {
        Value::Text(got) => {
            let want = says("string").unwrap_or_default().trim();
            let want = want.get(1..want.len().saturating_sub(1)).unwrap_or_default();
            return if got == want { Ok(()) } else { Err(format!("{got:?}")) };
        }
        Value::Matrix(ranges) => {
            let range: Vec<&str> = says("range vector").unwrap_or_default().split_whitespace().collect();
            let ["from", start, "to", _, "step", step] = range[..] else { return Err(format!("{value:?}")) };
            let points = |range: &super::super::Range| {
                let points = range.points.iter().map(|(time, number)| Ok((*time, float(number)?)));
                Ok((range.labels.clone(), points.collect::<Result<_, String>>()?))
            };
            let got = ranges.iter().map(points).collect::<Result<Vec<_>, String>>()?;
            return compare(&got, &expected(&lines, millis(start), millis(step))?, false);
        }
        Value::Scalar(got) => {
            let want = lines.first().and_then(|line| notation::values(line).ok()?.first().map(|first| first.1));
            let want = want.ok_or_else(|| format!("a scalar {got}"))?;
            if !is_close(*got, want) {
                return Err(format!("{got}, not {want}"));
            }
        }
        Value::Vector(samples) => {
            let of = |sample: &super::super::Sample| {
                Ok::<_, String>((sample.labels.clone(), vec![(time, float(&sample.value)?)]))
            };
            let got = samples.iter().map(of).collect::<Result<Vec<_>, _>>()?;
            compare(&got, &expected(&lines, time, 1)?, ordered)?;
        }
    }
    in_range(&value, store, time, text)
}

fn has_old_failure(expectations: &[&str]) -> bool {
    expectations.iter().any(|line| line.starts_with("expected_fail"))
}

/// That the middle one of three steps gives what the instant query gives.
fn in_range(value: &Value, store: &Store, time: i64, text: &str) -> Result<(), String> {
    if text.contains("start()") || text.contains("end()") {
        return Ok(());
    }
    let ranges = Query::parse(text).and_then(|query| query.range(store, time - 60_000, time + 60_000, 60_000));
    let ranges = ranges.map_err(|error: Error| format!("as a range: {error}"))?;
    let want: Vec<(Labels, Points)> = match value {
        Value::Scalar(value) => vec![(Labels::default(), vec![(time, *value)])],
        Value::Vector(samples) => {
            let of = |s: &super::super::Sample| Ok::<_, String>((s.labels.clone(), vec![(time, float(&s.value)?)]));
            samples.iter().map(of).collect::<Result<_, _>>()?
        }
        Value::Text(_) | Value::Matrix(_) => return Ok(()),
    };
    let mut got = Vec::new();
    for range in ranges {
        if let Some((_, number)) = range.points.iter().find(|point| point.0 == time) {
            got.push((range.labels, vec![(time, float(number)?)]));
        }
    }
    compare(&got, &want, false).map_err(|error| format!("as a range: {error}"))
}

fn range(command: &Command<'_>, store: &Store, (start, end, step): (i64, i64, i64), text: &str) -> Result<(), String> {
    let (expectations, lines) = split(command);
    let answer = Query::parse(text).and_then(|query| query.range(store, start, end, step));
    if command.head.starts_with("eval_fail") || expectations.iter().any(|line| line.starts_with("expect fail")) {
        return answer.map_or(Ok(()), |value| Err(format!("no error, but {value:?}")));
    }
    let mut got = Vec::new();
    for range in answer.map_err(|error| error.to_string())? {
        let points = range.points.iter().map(|(time, number)| Ok::<_, String>((*time, float(number)?)));
        got.push((range.labels, points.collect::<Result<_, _>>()?));
    }
    let want: Vec<_> = expected(&lines, start, step)?.into_iter().filter(|(_, points)| !points.is_empty()).collect();
    compare(&got, &want, false)
}

/// What is evaluated, and when.
struct Statement<'a> {
    expression: &'a str,
    times: Times,
}

enum Times {
    At(i64),
    /// Start, end and step.
    Range((i64, i64, i64)),
}

impl<'a> Statement<'a> {
    fn read(head: &'a str) -> Option<Self> {
        let (_, rest) = head.split_once(' ')?;
        let word = |text: &'a str, name: &str| text.trim_start().strip_prefix(name)?.trim_start().split_once(' ');
        if let Some((time, expression)) = word(rest, "instant at") {
            return Some(Self { expression, times: Times::At(millis(time)) });
        }
        let (start, rest) = word(rest, "range from")?;
        let (end, rest) = word(rest, "to")?;
        let (step, expression) = word(rest, "step")?;
        Some(Self { expression, times: Times::Range((millis(start), millis(end), millis(step))) })
    }
}

/// What became of a script.
#[derive(Default)]
struct Outcome {
    held: usize,
    all: usize,
    left_out: BTreeMap<&'static str, usize>,
    failed: Vec<String>,
}

fn run(path: &Path, script: &str) -> Outcome {
    let text = std::fs::read_to_string(path).unwrap();
    let mut outcome = Outcome::default();
    let (mut loaded, mut store) = (Loaded::default(), Store::default());
    for command in commands(&text) {
        if command.head == "clear" {
            (loaded, store) = Default::default();
            continue;
        }
        if command.head.starts_with("load") {
            loaded.load(&command);
            store = loaded.store();
            continue;
        }
        let statement = Statement::read(command.head).unwrap_or_else(|| panic!("{}", command.head));
        let expression = statement.expression;
        if let Some(why) = loaded.left_out(&command, script, expression) {
            *outcome.left_out.entry(why).or_default() += 1;
            continue;
        }
        outcome.all += 1;
        let result = match statement.times {
            Times::At(time) => instant(&command, &store, time, expression),
            Times::Range(times) => range(&command, &store, times, expression),
        };
        match result {
            Ok(()) => outcome.held += 1,
            Err(error) => outcome.failed.push(format!("{script}:{}: {}: {error}", command.line, command.head)),
        }
    }
    outcome
}

#[test]
fn prometheus_own_scripts_hold() {
    let Some(folder) = data("prometheus_own_scripts_hold", "promql/prometheus/promqltest") else { return };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut shares, mut failed, mut fell) = (String::new(), Vec::new(), Vec::new());
    let (mut held, mut all) = (0, 0);
    for path in files {
        let script = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if let Some((_, why)) = LEFT_OUT.iter().find(|(name, _)| *name == script) {
            writeln!(shares, "{script}: left out: {why}").unwrap();
            continue;
        }
        let outcome = run(&path, &script);
        writeln!(shares, "{script}: {} of {}; left out: {:?}", outcome.held, outcome.all, outcome.left_out).unwrap();
        (held, all) = (held + outcome.held, all + outcome.all);
        let least = SCRIPTS.iter().find(|(name, _, _)| *name == script);
        if least.is_none_or(|(_, least, of)| outcome.held < *least || outcome.all < *of) {
            fell.push(script);
        }
        failed.extend(outcome.failed);
    }
    println!("{shares}{held} of {all} statements hold\n{}", failed.join("\n"));
    assert!(fell.is_empty(), "fewer statements hold than did before: {fell:?}\n{shares}{}", failed.join("\n"));
}

#[test]
fn a_series_ends_where_its_values_begin() {
    for (line, names, count) in [
        ("up 1 2", "__name__=up", 2),
        (r#"up{a="} 1", b='x'} 1"#, "__name__=up,a=} 1,b=x", 1),
        (r#"up {a="b"} 1x2"#, "__name__=up,a=b", 3),
        (r#"{"my.metric", a="b"} 1"#, "__name__=my.metric,a=b", 1),
        ("{} 5", "", 1),
        ("up", "__name__=up", 0),
    ] {
        let (labels, values) = series(line).unwrap();
        let labels: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!((labels.join(",").as_str(), values.len()), (names, count), "{line}");
    }
}
