//! Query parameters, each refused by name with what would be right.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use jiff::tz::TimeZone;
use weir_service::http::{Parameter, Problem};
use weir_service::time::{now_unix_nano, parse};

use crate::report::{Step, buckets};

pub(super) const START: Parameter = ("start", "From this hour on: RFC 3339, unix seconds, or relative (now-24h)");
pub(super) const END: Parameter = ("end", "Before this hour");

/// The parameters of one request, each at most once.
pub(super) struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            if values.insert(name.clone(), value).is_some() {
                return Err(Problem::parameter(&name, format!("`{name}` is given twice: give it once")));
            }
        }
        Ok(Self(values))
    }
}

impl Params {
    /// One that is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let wrong = || Problem::parameter(name, format!("`{text}` is no number from 1 to {most}"));
        text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(wrong)
    }

    pub(super) fn step(&self) -> Result<Step, Problem> {
        let step = self.text("step").map(str::parse).transpose();
        step.map(|step| step.unwrap_or(Step::Total)).map_err(|wrong: String| Problem::parameter("step", wrong))
    }

    pub(super) fn zone(&self) -> Result<TimeZone, Problem> {
        let Some(name) = self.text("tz") else { return Ok(TimeZone::UTC) };
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let wrong =
            |_| Problem::parameter("tz", format!("`{shown}` is no time zone: use a name such as Asia/Shanghai"));
        TimeZone::get(name).map_err(wrong)
    }

    /// Whole hours in unix seconds: from the start of the month of the zone to now where nothing else is said.
    pub(super) fn hours(&self, zone: &TimeZone) -> Result<(i64, i64), Problem> {
        let now = now_unix_nano();
        let time = |name: &str| {
            let text = self.text(name);
            let nano =
                text.map(|text| parse(text, now).map_err(|wrong| Problem::parameter(name, wrong))).transpose()?;
            // A part of a second is within its hour.
            Ok::<_, Problem>(nano.map(|nano| nano.div_euclid(1_000_000_000)))
        };
        let end = time("end")?.unwrap_or(now / 1_000_000_000);
        let start = match time("start")? {
            Some(start) => start,
            None => buckets::start_of(end, Step::Month, zone)
                .map_err(|wrong| Problem::parameter("tz", wrong.to_string()))?,
        };
        if start > end {
            return Err(Problem::parameter("start", "`start` lies behind `end`: give an earlier one"));
        }
        Ok(buckets::whole_hours(start, end))
    }
}
