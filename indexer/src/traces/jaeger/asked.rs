//! What Jaeger's clients ask for.

use bytes::Bytes;
use serde_json::Value;
use weir_proto::otlp::common::v1::KeyValue;
use weir_proto::otlp::trace::v1::Span;
use weir_query::fields;
use weir_query::line::Line;
use weir_service::http::{Parameter, Problem};

use super::super::{duration, find};
use super::{json, stored};
use crate::snapshot::Needs;

/// Traces of an answer where no `limit` is given, as of Jaeger, and at most.
const USUAL: usize = 100;
const MOST: usize = 1500;
/// How far a search goes back that says nothing of it, as of Jaeger.
const LOOKBACK: i64 = 2 * 86_400_000_000_000;
/// The same of dependencies.
const LOOKBACK_OF_DEPENDENCIES: i64 = 86_400_000_000_000;

/// Parameters of a search.
pub(super) const PARAMETERS: [Parameter; 11] = [
    ("service", "Name of the service"),
    ("operation", "Name of the span"),
    ("tags", "An object of tags and their values"),
    ("tag", "NAME:VALUE; may be there several times"),
    ("minDuration", "How long the span took at least, such as 1.2s"),
    ("maxDuration", "How long it took at most"),
    ("start", "From this time on, in unix microseconds"),
    ("end", "Until this time"),
    ("lookback", "How far before the end the search begins, where no start is given"),
    ("limit", "How many traces"),
    ("traceID", "The traces of these ids instead; may be there several times"),
];

/// Traces by their ids, or by one of their spans.
pub(super) enum Asked {
    Ids(Vec<Bytes>),
    Search(find::Asked),
}

pub(super) fn missing(name: &str) -> Problem {
    Problem::parameter(name, format!("parameter '{name}' is required"))
}

/// Reads the parameters of a search; `now` is in nanoseconds since the epoch.
pub(super) fn read(pairs: &[(String, String)], now: i64) -> Result<Asked, Problem> {
    let all = |name: &'static str| pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str());
    let one = |name: &'static str| all(name).find(|value| !value.is_empty());
    if all("traceID").next().is_some() {
        return Ok(Asked::Ids(all("traceID").map(trace_id).collect::<Result<_, _>>()?));
    }
    let service = stored(one("service").ok_or_else(|| missing("service"))?);
    let operation = one("operation").map(str::to_owned);
    let (least, most) = (length(one("minDuration"), "minDuration")?, length(one("maxDuration"), "maxDuration")?);
    if least.zip(most).is_some_and(|(least, most)| least > most) {
        return Err(Problem::parameter("maxDuration", "'maxDuration' should be greater than 'minDuration'"));
    }
    let limit = match one("limit") {
        None => USUAL,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MOST).contains(limit))
            .ok_or_else(|| Problem::parameter("limit", format!("unable to parse param 'limit': 1 to {MOST}")))?,
    };
    let end = number(one("end"), "end", 1_000)?.unwrap_or(now);
    let start = match (number(one("start"), "start", 1_000)?, one("lookback")) {
        (Some(start), _) => start,
        (None, None | Some("custom")) => end.saturating_sub(LOOKBACK),
        (None, text) => end.saturating_sub(length(text, "lookback")?.unwrap_or(0).cast_signed()),
    };
    let tags = tags(all("tags"), all("tag"))?;
    let needs = vec![Needs::Field("service".to_owned(), service.to_lowercase())];
    let passes = move |line: &Line, span: &Span| {
        let took = find::duration(span).unsigned_abs();
        line.source.service == service
            && operation.as_ref().is_none_or(|operation| *operation == span.name)
            && least.is_none_or(|least| took >= least)
            && most.is_none_or(|most| took <= most)
            && tags.iter().all(|(name, wanted)| has_tag(line, span, name, wanted))
    };
    Ok(Asked::Search(find::Asked {
        needs: Needs::All(needs),
        // Jaeger's end is in it, to the microsecond.
        range: (start, end.saturating_add(1_000)),
        passes: Box::new(passes),
        by: find::By::Start,
        ascending: false,
        limit,
        after: None,
    }))
}

/// An id of up to 32 hexadecimal digits, of which the leading zeros may be left out.
pub(super) fn trace_id(text: &str) -> Result<Bytes, Problem> {
    let wrong =
        || Problem::parameter("traceID", format!("cannot parse trace id `{text}`: use up to 32 hexadecimal digits"));
    if text.is_empty() || text.len() > 32 {
        return Err(wrong());
    }
    Ok(hex::decode(format!("{text:0>32}")).map_err(|_| wrong())?.into())
}

/// The time of dependencies, in nanoseconds since the epoch.
pub(super) fn of_dependencies(pairs: &[(String, String)]) -> Result<(i64, i64), Problem> {
    let one = |name: &str| pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, v)| v.as_str());
    let end = number(one("endTs"), "endTs", 1_000_000)?.unwrap_or_else(weir_service::time::now_unix_nano);
    let back = number(one("lookback"), "lookback", 1_000_000)?.unwrap_or(LOOKBACK_OF_DEPENDENCIES);
    Ok((end.saturating_sub(back), end.saturating_add(1_000_000)))
}

fn number(text: Option<&str>, name: &str, unit: i64) -> Result<Option<i64>, Problem> {
    let wrong = |text| Problem::parameter(name, format!("unable to parse param '{name}': `{text}` is no whole number"));
    let read =
        |text: &str| text.parse::<i64>().map(|number| number.saturating_mul(unit)).map_err(|_| wrong(text.to_owned()));
    text.map(read).transpose()
}

fn length(text: Option<&str>, name: &str) -> Result<Option<u64>, Problem> {
    let wrong = |text: &str| {
        Problem::parameter(
            name,
            format!("unable to parse param '{name}': `{text}` is no duration: use {}", duration::WANTED),
        )
    };
    text.map(|text| duration::read(text).ok_or_else(|| wrong(text))).transpose()
}

fn tags<'a>(
    objects: impl Iterator<Item = &'a str>,
    single: impl Iterator<Item = &'a str>,
) -> Result<Vec<(String, String)>, Problem> {
    let mut tags = Vec::new();
    for text in objects.filter(|text| !text.is_empty()) {
        let wrong =
            || Problem::parameter("tags", "malformed 'tags' parameter, cannot unmarshal JSON: use an object of texts");
        let object: serde_json::Map<String, Value> = serde_json::from_str(text).map_err(|_| wrong())?;
        for (name, value) in object {
            let value = match value {
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                _ => return Err(wrong()),
            };
            tags.push((name, value));
        }
    }
    for text in single {
        let wrong =
            || Problem::parameter("tag", format!("malformed 'tag' parameter, expecting key:value, received: {text}"));
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        tags.push((name.to_owned(), value.to_owned()));
    }
    Ok(tags)
}

/// Whether a span has a tag of this value: of its own, of an event or a link, of its scope, or of its resource.
fn has_tag(line: &Line, span: &Span, name: &str, wanted: &str) -> bool {
    let is = |value: &weir_proto::otlp::common::v1::any_value::Value| fields::text(value) == wanted;
    let among = |pairs: &[KeyValue]| {
        let value = |pair: &KeyValue| pair.value.as_ref().and_then(|value| value.value.as_ref()).is_some_and(is);
        pairs.iter().any(|pair| pair.key == name && value(pair))
    };
    among(&span.attributes)
        || line.source.resource.iter().any(|(key, value)| key == name && is(value))
        || span.events.iter().any(|event| among(&event.attributes) || (name == "event" && event.name == wanted))
        || span.links.iter().any(|link| among(&link.attributes))
        || json::of_span(span).any(|(key, value)| key == name && is(&value))
        || line.source.scope.iter().any(|(key, value)| json::tag_of_scope(key) == name && is(value))
}
