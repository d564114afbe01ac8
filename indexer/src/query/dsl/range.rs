//! Ranges; those of times with formats and date arithmetic.

use jiff::tz::TimeZone;
use serde_json::{Map, Value as Json};
use weir_query::ast::{Bound, Query, Test};
use weir_service::elastic::{Fault, date};

use super::{any_column, columns, field_of, scalar};
use crate::dates::{MILLI, Rounding, Step, Unit, fixed, zone};

const SECOND: i64 = 1_000_000_000;

/// Which moment a text that names a stretch of time means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    First,
    Last,
}

pub(super) fn range(about: &Map<String, Json>, now: i64) -> Result<Query, Fault> {
    let (field, about) = field_of("range", about)?;
    let Json::Object(about) = about else {
        return Err(Fault::parsing(format!("[range] query requires an object for [{}]", super::shown(field))));
    };
    let is_time = matches!(columns(field).as_slice(), [only] if only == "timestamp");
    let text = |key| about.get(key).and_then(Json::as_str);
    let zone = match text("time_zone") {
        Some(name) => {
            zone(name).ok_or_else(|| Fault::argument(format!("unknown time zone [{}]", super::shown(name))))?
        }
        None => TimeZone::UTC,
    };
    let format = text("format").unwrap_or_default();
    let (mut low, mut high) = (Bound::Open, Bound::Open);
    let includes = |key| about.get(key).and_then(Json::as_bool).unwrap_or(true);
    for (key, json) in about {
        let (is_low, with) = match key.as_str() {
            "gte" => (true, true),
            "gt" => (true, false),
            "lte" => (false, true),
            "lt" => (false, false),
            "from" => (true, includes("include_lower")),
            "to" => (false, includes("include_upper")),
            "format" | "time_zone" | "boost" | "relation" | "include_lower" | "include_upper" | "_name" => continue,
            _ => return Err(Fault::parsing(format!("[range] query does not support [{}]", super::shown(key)))),
        };
        let Some(value) = scalar(json) else { continue };
        let value = if is_time {
            // What lies behind a stretch lies behind its last moment.
            let edge = if is_low == with { Edge::First } else { Edge::Last };
            weir_service::time::format(moment(&value, format, &zone, now, edge)?)
        } else {
            value
        };
        let bound = if with { Bound::Including(value) } else { Bound::Excluding(value) };
        *(if is_low { &mut low } else { &mut high }) = bound;
    }
    Ok(any_column(field, &Test::Range(low, high)))
}

/// The times that one value names.
pub(super) fn point(text: &str, now: i64) -> Result<Query, Fault> {
    let at = |edge| moment(text, "", &TimeZone::UTC, now, edge).map(weir_service::time::format);
    let (first, last) = (at(Edge::First)?, at(Edge::Last)?);
    Ok(Query::Field("timestamp".to_owned(), Test::Range(Bound::Including(first), Bound::Including(last))))
}

/// A time in nanoseconds as Elasticsearch reads it: a date, milliseconds, or `now-1h/d`; `format` may be `epoch_second`.
pub fn time(text: &str, format: &str, now: i64) -> Result<i64, Fault> {
    moment(text, format, &TimeZone::UTC, now, Edge::First)
}

fn moment(text: &str, format: &str, zone: &TimeZone, now: i64, edge: Edge) -> Result<i64, Fault> {
    let wrong = || {
        let shown = super::shown(text);
        let reason = format!("failed to parse date field [{shown}]: write ISO 8601, epoch milliseconds, or now-1h/d");
        Fault::new(http::StatusCode::BAD_REQUEST, "parse_exception", reason)
    };
    let text = text.trim();
    let (start, steps, end) = if let Some(steps) = text.strip_prefix("now") {
        (now, steps, now)
    } else {
        let (date_text, steps) = text.split_once("||").unwrap_or((text, ""));
        let start = absolute(date_text, format, zone).ok_or_else(wrong)?;
        (start, steps, last_of(date_text, format, start, zone))
    };
    let (mut at, mut rest) = (if steps.is_empty() && edge == Edge::Last { end } else { start }, steps);
    while !rest.is_empty() {
        let (sign, behind) = rest.split_at_checked(1).ok_or_else(wrong)?;
        let length = behind.find(['+', '-', '/']).unwrap_or(behind.len());
        let (step, next) = behind.split_at(length);
        at = match sign {
            "+" | "-" => shifted(at, sign == "-", step, zone),
            "/" => rounded(at, step, zone, edge),
            _ => None,
        }
        .ok_or_else(wrong)?;
        rest = next;
    }
    Ok(at)
}

fn absolute(text: &str, format: &str, zone: &TimeZone) -> Option<i64> {
    if format.split("||").any(|one| one == "epoch_second")
        && let Ok(seconds) = text.parse::<f64>()
    {
        return Some((seconds * SECOND as f64) as i64);
    }
    if let Ok(millis) = text.parse::<f64>()
        && text.len() != 4
    {
        // A number of JSON may be written with a fraction.
        return date(text).or(Some((millis * 1e6) as i64));
    }
    let at = date(text)?;
    if has_zone(text) {
        return Some(at);
    }
    let local = TimeZone::UTC.to_datetime(jiff::Timestamp::from_nanosecond(at.into()).ok()?);
    i64::try_from(zone.to_timestamp(local).ok()?.as_nanosecond()).ok()
}

fn has_zone(text: &str) -> bool {
    text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|time| time.contains(['+', '-']))
}

/// The last moment of what a text names: a day where it has no time, a second where that has no fraction, and the
/// millisecond of a fraction of three digits, or of a number.
fn last_of(text: &str, format: &str, start: i64, zone: &TimeZone) -> i64 {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let unit = match text.len() {
        _ if is_number && (format.contains("epoch") || text.len() != 4) => return start.saturating_add(MILLI - 1),
        4 => Unit::Year,
        7 if text.contains('-') => Unit::Month,
        10 if text.contains('-') => Unit::Day,
        _ => return start.saturating_add(precision(text) - 1),
    };
    let rounding = Rounding { step: Step::Calendar(unit), zone: zone.clone(), offset: 0 };
    rounding.next(start).saturating_sub(1)
}

/// Nanoseconds of what a text with a time of day leaves open.
fn precision(text: &str) -> i64 {
    let Some(time) = text.get(11..) else { return 1 };
    let time = time.split(['Z', 'z', '+', '-']).next().unwrap_or_default();
    match (time.split_once(['.', ',']), time.matches(':').count()) {
        (Some((_, fraction)), _) if fraction.len() > 3 => 1,
        (Some(_), _) => MILLI,
        (None, 2) => SECOND,
        (None, 1) => 60 * SECOND,
        _ => 1,
    }
}

fn unit(name: &str) -> Option<Unit> {
    Some(match name {
        "m" => Unit::Minute,
        "h" | "H" => Unit::Hour,
        "d" => Unit::Day,
        "w" => Unit::Week,
        "M" => Unit::Month,
        "y" => Unit::Year,
        _ => return None,
    })
}

fn shifted(at: i64, back: bool, step: &str, zone: &TimeZone) -> Option<i64> {
    let digits = step.len() - step.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, name) = step.split_at(digits);
    let count: i64 = if count.is_empty() { 1 } else { count.parse().ok()? };
    let span = match name {
        "M" => jiff::Span::new().try_months(count).ok()?,
        "y" => jiff::Span::new().try_years(count).ok()?,
        _ => {
            let nanos = fixed(&format!("{count}{}", if name == "H" { "h" } else { name }))?;
            return at.checked_add(if back { -nanos } else { nanos });
        }
    };
    let local = jiff::ZonedDateTime::new(jiff::Timestamp::from_nanosecond(at.into()).ok()?, zone.clone());
    let moved = if back { local.checked_sub(span) } else { local.checked_add(span) };
    i64::try_from(moved.ok()?.timestamp().as_nanosecond()).ok()
}

fn rounded(at: i64, name: &str, zone: &TimeZone, edge: Edge) -> Option<i64> {
    let step = match unit(name) {
        Some(unit) => Step::Calendar(unit),
        None if name == "s" => Step::Fixed(SECOND),
        None => return None,
    };
    let rounding = Rounding { step, zone: zone.clone(), offset: 0 };
    let start = rounding.floor(at);
    Some(if edge == Edge::First { start } else { rounding.next(start).saturating_sub(1) })
}
