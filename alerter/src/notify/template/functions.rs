//! Functions of templates: Alertmanager's, and Go's own where the engine's do other than Go's or know no bounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gotmpl::html::{HTML, URL};
use gotmpl::{FuncMap, TemplateError, Value, ValueFunc};

use super::access::{self, MARK};
use super::rewrite::{COUNT, FOLLOW, PRINT};
use super::time::{self, Time};
use crate::rules::go;

/// Bytes of one text, and items of one list.
const MOST_BYTES: usize = 1 << 20;
/// Values in one value, and how deep they may lie in each other.
const MOST_VALUES: usize = 100_000;
const MOST_DEPTH: usize = 16;
/// Calls of functions, with a unit more for each byte that they are given.
const WORK: u64 = 64 << 20;
const CALL: u64 = 64;
/// Digits of a width in a format.
const MOST_WIDTH: i64 = 1000;
const MOST_REGEX_BYTES: usize = 256 << 10;

type Result<T, E = String> = std::result::Result<T, E>;

/// What is left of the work that one execution may do.
struct Budget(AtomicU64);

impl Budget {
    fn charge(&self, work: u64) -> Result<()> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(work));
        taken.map(drop).map_err(|_| "the template runs too long".to_owned())
    }
}

/// All functions, for one execution at this time.
pub(super) fn functions(now_ms: i64) -> FuncMap {
    let budget = Arc::new(Budget(AtomicU64::new(WORK)));
    let mut map: FuncMap = SIMPLE.iter().map(|(name, function)| bounded(&budget, name, function)).collect();
    let since = move |arguments: &[Value]| {
        let since = Time::utc(now_ms).since(&moment(arguments)?);
        Ok(Value::from(time::duration(since)))
    };
    map.extend([bounded(&budget, "since", since)]);
    map
}

/// A function that counts its work, and makes no text or list that is too long.
fn bounded(
    budget: &Arc<Budget>,
    name: &'static str,
    function: impl Fn(&[Value]) -> Result<Value> + Send + Sync + 'static,
) -> (String, ValueFunc) {
    let budget = budget.clone();
    let run = move |arguments: &[Value]| {
        let sizes = arguments.iter().map(|value| shallow(value) as u64).sum::<u64>();
        budget.charge(CALL + sizes)?;
        let made = function(arguments)?;
        if shallow(&made) > MOST_BYTES { Err(format!("more than {MOST_BYTES} bytes")) } else { Ok(made) }
    };
    let named = move |error: String| match name {
        // The user knows no function of this name.
        FOLLOW | PRINT | COUNT => error,
        name => format!("{name}: {error}"),
    };
    (name.to_owned(), Arc::new(move |arguments| run(arguments).map_err(|error| TemplateError::Exec(named(error)))))
}

type Function = fn(&[Value]) -> Result<Value>;

const SIMPLE: [(&str, Function); 28] = [
    (FOLLOW, |arguments| match arguments {
        [from, Value::String(path), rest @ ..] => access::follow(from, path, rest),
        _ => Err("a path is needed".to_owned()),
    }),
    (PRINT, |arguments| match arguments {
        [one] => whole(one).map(|_| access::printed(one)),
        _ => Err("one value is needed".to_owned()),
    }),
    (COUNT, |arguments| Ok(arguments.first().cloned().unwrap_or(Value::Nil))),
    ("toUpper", |arguments| of_text(arguments, str::to_uppercase)),
    ("toLower", |arguments| of_text(arguments, str::to_lowercase)),
    ("title", |arguments| of_text(arguments, title)),
    ("trimSpace", |arguments| of_text(arguments, |text| text.trim().to_owned())),
    ("join", join),
    ("match", |arguments| {
        let [pattern, text] = texts(arguments)?;
        Ok(Value::Bool(regex(pattern)?.is_match(text)))
    }),
    ("reReplaceAll", |arguments| {
        let [pattern, by, text] = texts(arguments)?;
        replaced(&regex(pattern)?, by, text).map(Value::from)
    }),
    ("safeHtml", |arguments| {
        let [text] = texts(arguments)?;
        Ok(HTML::from(text).into())
    }),
    ("safeUrl", |arguments| {
        let [text] = texts(arguments)?;
        Ok(URL::from(text).into())
    }),
    ("urlUnescape", |arguments| {
        let [text] = texts(arguments)?;
        unescaped(text).map(Value::from)
    }),
    ("stringSlice", |arguments| {
        if arguments.iter().all(|argument| text(argument).is_some()) {
            Ok(access::list(arguments.iter().cloned()))
        } else {
            Err("strings are needed".to_owned())
        }
    }),
    ("date", |arguments| match arguments {
        [Value::String(layout), rest @ ..] => Ok(Value::from(moment(rest)?.format(layout))),
        _ => Err("a layout and a time are needed".to_owned()),
    }),
    ("tz", |arguments| match arguments {
        [Value::String(zone), rest @ ..] => Ok(Value::from(moment(rest)?.within(zone)?.to_string())),
        _ => Err("the name of a zone and a time are needed".to_owned()),
    }),
    ("humanizeDuration", |arguments| Ok(Value::from(go::duration(seconds(arguments)?)))),
    ("toJson", |arguments| match arguments {
        [one] => whole(one).map(|_| Value::from(json(one).to_string())),
        _ => Err("one value is needed".to_owned()),
    }),
    ("list", |arguments| checked(access::list(arguments.iter().cloned()))),
    ("append", |arguments| match arguments {
        [Value::List(values), more @ ..] => checked(access::list(values.iter().chain(more).cloned())),
        _ => Err("a list is needed".to_owned()),
    }),
    ("dict", |arguments| {
        let (pairs, rest) = arguments.as_chunks::<2>();
        let pair = |[name, value]: &[Value; 2]| Some((Arc::from(name.as_str()?), value.clone()));
        match pairs.iter().map(pair).collect::<Option<BTreeMap<Arc<str>, Value>>>() {
            Some(map) if rest.is_empty() => checked(Value::Map(Arc::new(map))),
            _ => Err("names and values are needed, in pairs".to_owned()),
        }
    }),
    ("index", |arguments| go::index(arguments).map_err(|error| error.to_string())),
    ("print", |arguments| {
        let is_text = |value: &Value| matches!(value, Value::String(_));
        shown(arguments, |before, value| !is_text(before) && !is_text(value)).map(Value::from)
    }),
    ("println", |arguments| Ok(Value::from(shown(arguments, |_, _| true)? + "\n"))),
    ("html", |arguments| original("html", arguments)),
    ("js", |arguments| original("js", arguments)),
    ("urlquery", |arguments| original("urlquery", arguments)),
    ("printf", |arguments| {
        let Some((Value::String(format), values)) = arguments.split_first() else {
            return Err("a format is needed".to_owned());
        };
        is_narrow(format, values)?;
        original("printf", arguments)
    }),
];

/// Go's `Sprint` and `Sprintln`, with a space between those of which this holds.
fn shown(values: &[Value], are_apart: impl Fn(&Value, &Value) -> bool) -> Result<String> {
    let mut made = String::new();
    for (at, value) in values.iter().enumerate() {
        whole(value)?;
        if at > 0 && are_apart(&values[at - 1], value) {
            made.push(' ');
        }
        made.push_str(&access::printed(value).to_string());
        if made.len() > MOST_BYTES {
            return Err(format!("more than {MOST_BYTES} bytes"));
        }
    }
    Ok(made)
}

/// The engine's own function. Values that are printed otherwise than Go's go as texts.
fn original(name: &str, arguments: &[Value]) -> Result<Value> {
    arguments
        .iter()
        .try_fold(0, |sum, value| Ok::<_, String>(sum + whole(value)?))
        .and_then(|bytes| if bytes > MOST_BYTES { Err(format!("more than {MOST_BYTES} bytes")) } else { Ok(()) })?;
    let is_format = name == "printf";
    let shown: Vec<Value> = arguments
        .iter()
        .map(|value| match value {
            // Verbs of numbers want the number.
            Value::Float(_) if is_format => value.clone(),
            other => access::printed(other),
        })
        .collect();
    let made = if is_format { go::printf(&shown) } else { go::original(name, &shown) };
    made.map_err(|error| error.to_string())
}

/// Whether no width or precision of a format makes a text of any length.
fn is_narrow(format: &str, values: &[Value]) -> Result<()> {
    let is_long = format.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 3);
    let by_argument = format.contains('*')
        && values
            .iter()
            .any(|value| !matches!(value, Value::String(_)) && value.as_int().is_some_and(|n| n.abs() > MOST_WIDTH));
    if is_long || by_argument { Err(format!("a width of more than {MOST_WIDTH}")) } else { Ok(()) }
}

/// Bytes of a text, items of a list.
fn shallow(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Safe { s, .. } => s.len(),
        Value::List(values) => values.len(),
        Value::Map(map) => map.len(),
        _ => 1,
    }
}

/// Bytes of a value with all that is in it; an error where that is too much.
fn whole(value: &Value) -> Result<usize> {
    fn add(value: &Value, depth: usize, values: &mut usize, bytes: &mut usize) -> Result<()> {
        *values += 1;
        *bytes += shallow(value);
        if *values > MOST_VALUES || *bytes > MOST_BYTES || depth > MOST_DEPTH {
            return Err("the value is too large".to_owned());
        }
        match value {
            Value::List(all) => all.iter().try_for_each(|value| add(value, depth + 1, values, bytes)),
            Value::Map(all) => all.values().try_for_each(|value| add(value, depth + 1, values, bytes)),
            _ => Ok(()),
        }
    }
    let (mut values, mut bytes) = (0, 0);
    add(value, 0, &mut values, &mut bytes)?;
    Ok(bytes)
}

fn checked(value: Value) -> Result<Value> {
    whole(&value).map(|_| value)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Safe { s, .. } => Some(s),
        other => other.as_str(),
    }
}

fn texts<const N: usize>(arguments: &[Value]) -> Result<[&str; N]> {
    let wrong = || format!("{N} strings are needed");
    let all: Vec<&str> = arguments.iter().map(|value| text(value).ok_or_else(wrong)).collect::<Result<_>>()?;
    all.try_into().map_err(|_| wrong())
}

fn of_text(arguments: &[Value], function: impl Fn(&str) -> String) -> Result<Value> {
    let [text] = texts(arguments)?;
    Ok(Value::from(function(text)))
}

fn moment(arguments: &[Value]) -> Result<Time> {
    let [text] = texts(arguments)?;
    Time::parse(text).ok_or_else(|| format!("«{text}» is not a time"))
}

fn seconds(arguments: &[Value]) -> Result<f64> {
    match arguments {
        [Value::Float(number)] => Ok(*number),
        [Value::Int(number)] => Ok(*number as f64),
        [Value::Uint(number)] => Ok(*number as f64),
        [value @ Value::String(text)] => match (text.parse(), time::nanos(value)) {
            (Ok(number), _) => Ok(number),
            (Err(_), Some(nanos)) => Ok(nanos as f64 / 1e9),
            (Err(_), None) => Err(format!("«{text}» is not a number")),
        },
        _ => Err("one number or duration is needed".to_owned()),
    }
}

fn join(arguments: &[Value]) -> Result<Value> {
    let [separator, Value::List(values)] = arguments else {
        return Err("a separator and a list are needed".to_owned());
    };
    let separator = text(separator).ok_or("a separator is needed")?;
    let all: Option<Vec<&str>> = values.iter().map(text).collect();
    let all = all.ok_or("a list of strings is needed")?;
    let bytes: usize = all.iter().map(|text| text.len() + separator.len()).sum();
    if bytes > MOST_BYTES { Err(format!("more than {MOST_BYTES} bytes")) } else { Ok(Value::from(all.join(separator))) }
}

/// Each word with a capital, the rest of it small.
fn title(text: &str) -> String {
    let mut is_first = true;
    let mut made = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || c == '\'' || c == '_' {
            if std::mem::replace(&mut is_first, false) {
                made.extend(c.to_uppercase());
            } else {
                made.extend(c.to_lowercase());
            }
        } else {
            is_first = true;
            made.push(c);
        }
    }
    made
}

fn regex(pattern: &str) -> Result<regex::Regex> {
    let built = regex::RegexBuilder::new(pattern).size_limit(MOST_REGEX_BYTES).build();
    built.map_err(|error| crate::options::reason(&error))
}

fn replaced(regex: &regex::Regex, by: &str, text: &str) -> Result<String> {
    let (mut made, mut at) = (String::new(), 0);
    for found in regex.captures_iter(text) {
        let Some(all) = found.get(0) else { continue };
        made.push_str(&text[at..all.start()]);
        found.expand(by, &mut made);
        at = all.end();
        if made.len() > MOST_BYTES {
            return Err(format!("more than {MOST_BYTES} bytes"));
        }
    }
    made.push_str(&text[at..]);
    Ok(made)
}

/// Go's `url.QueryUnescape`.
fn unescaped(text: &str) -> Result<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, more @ ..] = rest {
        rest = more;
        match (first, more) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, more @ ..]) => {
                let pair = hex::decode([*high, *low]).map_err(|_| format!("«{text}» is not escaped as in a URL"))?;
                bytes.extend(pair);
                rest = more;
            }
            (b'%', _) => return Err(format!("«{text}» is not escaped as in a URL")),
            (byte, _) => bytes.push(*byte),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// As Go's `encoding/json` writes it; fields of structs begin with a small letter there, and times are RFC 3339.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::String(text) => (&**text).into(),
        Value::Safe { s, .. } => (&**s).into(),
        Value::List(values) => values.iter().map(json).collect(),
        Value::Map(map) if access::name_of(map).is_some() => {
            let fields = map.iter().filter(|(name, _)| &***name != MARK);
            let field = |(name, value): (&Arc<str>, &Value)| {
                let time = if name.ends_with("sAt") { value.as_str().and_then(Time::parse) } else { None };
                let (first, rest) = name.split_at(name.len().min(1));
                let name =
                    if access::is_pair(map) { name.to_string() } else { format!("{}{rest}", first.to_lowercase()) };
                (name, time.map_or_else(|| json(value), |time| time.rfc3339().into()))
            };
            serde_json::Value::Object(fields.map(field).collect())
        }
        Value::Map(map) => {
            serde_json::Value::Object(map.iter().map(|(name, value)| (name.to_string(), json(value))).collect())
        }
        Value::Nil | Value::Function(_) => serde_json::Value::Null,
    }
}
