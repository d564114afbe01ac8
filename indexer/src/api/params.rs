//! Query parameters, each refused by name with what would be right.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query as InAddress};
use http::request::Parts;
use jiff::tz::TimeZone;
use weir_query::Matcher;
use weir_query::ast::Query;
use weir_service::config::Span;
use weir_service::http::{Form, Parameter, Problem};

use crate::interval::Interval;
use crate::query;
use crate::search::Place;
use crate::snapshot::{Exact, Needs};

/// Longest time that an answer waits for `wait_for`.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The parameters of one request.
pub(crate) struct Params {
    values: BTreeMap<String, String>,
    /// What `now` means in this request.
    pub(crate) now: i64,
}

/// The parameter of a query.
pub(crate) const QUERY: Parameter = ("query", "Query in Lucene's grammar; all, where it is not given");
/// The parameter of a first time.
pub(crate) const START: Parameter = ("start", "From this time on: RFC 3339, unix seconds, or relative (now-15m)");
/// The parameter of a last time.
pub(crate) const END: Parameter = ("end", "Before this time");
/// The parameter of a number of items.
pub(crate) const LIMIT: Parameter = ("limit", "How many items the answer may have");

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let InAddress(mut pairs) = InAddress::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
        if let Some(Form(more)) = parts.extensions.remove::<Form>() {
            pairs.extend(more);
        }
        Self::new(pairs)
    }
}

impl Params {
    /// Takes the parameters, each of which may be there once; unknown ones were refused before.
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            if values.insert(name.clone(), value).is_some() {
                return Err(Problem::parameter(&name, format!("`{name}` is given twice: give it once")));
            }
        }
        Ok(Self { values, now: weir_service::time::now_unix_nano() })
    }

    /// A parameter that is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn number(&self, name: &str, default: usize, within: RangeInclusive<usize>) -> Result<usize, Problem> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let wrong = || {
            let (least, most) = (within.start(), within.end());
            Problem::parameter(name, format!("`{text}` is no number from {least} to {most}"))
        };
        text.parse().ok().filter(|number| within.contains(number)).ok_or_else(wrong)
    }

    /// The query, as lines, chunks and the index's own counts are asked.
    pub(crate) fn query(&self) -> Result<(Matcher, Needs, Option<Exact>), Problem> {
        self.query_of(|query| query)
    }

    /// The same of what `change` makes of it.
    pub(crate) fn query_of(
        &self,
        change: impl FnOnce(Query) -> Query,
    ) -> Result<(Matcher, Needs, Option<Exact>), Problem> {
        let wrong = |error: &dyn std::error::Error| Problem::parameter("query", error.to_string());
        let parsed = weir_query::parse(self.text("query").unwrap_or_default()).map_err(|error| wrong(&error))?;
        let parsed = change(parsed);
        let matcher = Matcher::new(&parsed, self.now).map_err(|error| wrong(&error))?;
        Ok((matcher, query::needs(&parsed), query::exact(&parsed)))
    }

    /// `start` inclusive, `end` exclusive; a side that is not given is open.
    pub(crate) fn range(&self) -> Result<(i64, i64), Problem> {
        let time = |name: &str, open: i64| match self.text(name) {
            None => Ok(open),
            Some(text) => weir_service::time::parse(text, self.now).map_err(|wrong| Problem::parameter(name, wrong)),
        };
        let (start, end) = (time("start", i64::MIN)?, time("end", i64::MAX)?);
        if start > end {
            return Err(Problem::parameter("start", "`start` lies behind `end`: give an earlier one"));
        }
        Ok((start, end))
    }

    pub(crate) fn oldest_first(&self) -> Result<bool, Problem> {
        match self.text("order") {
            None | Some("desc") => Ok(false),
            Some("asc") => Ok(true),
            Some(other) => Err(Problem::parameter("order", format!("`{other}` is no order: use desc or asc"))),
        }
    }

    /// Where the page before ended.
    pub(crate) fn cursor(&self) -> Result<Option<Place>, Problem> {
        let Some(text) = self.text("cursor") else { return Ok(None) };
        let read = || {
            let mut parts = text.split('_');
            let (time, id, of) = (parts.next()?, parts.next()?, parts.next()?);
            let place = (time.parse().ok()?, id.parse().ok()?);
            (parts.next().is_none()).then_some((place, of))
        };
        let wrong = |why: &str| {
            Problem::parameter("cursor", format!("{why}: use the `next_cursor` of the page before, as it is"))
        };
        let (place, of) = read().ok_or_else(|| wrong("no such cursor"))?;
        if of != self.cursor_of() {
            return Err(wrong("the cursor is of another query or order"));
        }
        Ok(Some(place))
    }

    /// What tells cursors of this query and order from those of others.
    pub(crate) fn cursor_of(&self) -> String {
        let mut hash = crc32fast::Hasher::new();
        for part in [self.text("query").unwrap_or_default(), self.text("order").unwrap_or("desc")] {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
        format!("{:08x}", hash.finalize())
    }

    /// A switch that is off where it is not given.
    pub(crate) fn is_on(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Problem::parameter(name, format!("`{other}` is neither true nor false"))),
        }
    }

    /// What an answer waits for: the time up to which everything must be searchable, and for how long at most.
    pub(crate) fn wait_for(&self) -> Result<Option<(i64, Duration)>, Problem> {
        let Some(text) = self.text("wait_for") else { return Ok(None) };
        if let Ok(span) = text.parse::<Span>() {
            return Ok(Some((self.now, span.0.min(LONGEST_WAIT))));
        }
        let time = weir_service::time::parse(text, self.now);
        let wrong = |wrong| Problem::parameter("wait_for", format!("give a duration such as 5s, or a time: {wrong}"));
        let time = time.map_err(wrong)?;
        if time > self.now {
            return Err(Problem::parameter("wait_for", "the time lies ahead: give one that has passed, or a duration"));
        }
        Ok(Some((time, LONGEST_WAIT)))
    }

    /// Buckets of a histogram, by the clock of `tz`.
    pub(crate) fn interval(&self, start: i64, end: i64) -> Result<Interval, Problem> {
        let interval = Interval::of(self.nanos_of_interval(start, end)?);
        let Some(name) = self.text("tz") else { return Ok(interval) };
        let wrong = |_| Problem::parameter("tz", format!("`{name}` is no time zone: use one such as Asia/Shanghai"));
        Ok(interval.in_zone(TimeZone::get(name).map_err(wrong)?))
    }

    fn nanos_of_interval(&self, start: i64, end: i64) -> Result<i64, Problem> {
        const SECOND: i64 = 1_000_000_000;
        if let Some(text) = self.text("interval") {
            let wrong =
                || Problem::parameter("interval", format!("`{text}` is no interval: use one such as 10s, 5m or 1h"));
            let span: Span = text.parse().map_err(|_| wrong())?;
            return i64::try_from(span.0.as_nanos()).ok().filter(|nanos| *nanos > 0).ok_or_else(wrong);
        }
        // Some sixty buckets over the range asked for, in steps that people like.
        let wished = end.saturating_sub(start) / 60;
        let steps = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 86_400].map(|step| step * SECOND);
        Ok(steps.into_iter().find(|step| *step >= wished).unwrap_or(86_400 * SECOND))
    }
}

/// The text of the parameter `name` that lies in the path.
pub(crate) fn in_path(name: &str, text: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    text.map(|Path(text)| text).map_err(|rejection| Problem::parameter(name, rejection.body_text()))
}

/// The cursor behind a place, of what [`Params::cursor_of`] says.
pub(super) fn cursor((time, id): Place, of: &str) -> String {
    format!("{time}_{id}_{of}")
}
