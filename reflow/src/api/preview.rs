//! `POST /api/v1/captures/preview`: what a capture would take of what the bus holds. Nothing is written.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use weir_service::auth::Tenants;
use weir_service::http::{Json as Posted, Parameter, Problem, Query};
use weir_service::telemetry::whole;

use super::captures::definition;
use super::{Api, define_problem};
use crate::dataset::schema;
use crate::definition::Sample;
use crate::preview::MAX_ROWS;

pub(super) const PARAMETERS: [Parameter; 2] = [
    (
        "start",
        "When the first record came that counts: RFC 3339, unix seconds, or relative; now-15m where it is not given",
    ),
    ("limit", "How many rows the answer may have, 1 to 10; 10 where it is not given"),
];

const START: &str = "now-15m";

pub(super) async fn preview(
    State(api): State<Api>,
    tenants: Tenants,
    Query(parameters): Query<Vec<(String, String)>>,
    Posted(body): Posted<Value>,
) -> Result<Json<Value>, Problem> {
    let (start_ms, limit) = read(&parameters, weir_service::time::now_unix_nano())?;
    let definition = definition(&tenants, body)?;
    let capture = api.catalog.compile(definition).map_err(|error| define_problem(&error))?;
    let place = api.previews.place().ok_or_else(|| {
        let detail = "as many previews as can be at once are under way: ask again";
        Problem { retry_after: Some(1), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    })?;
    let found = api.previews.run(capture.clone(), limit, start_ms, place).await.map_err(|error| {
        tracing::warn!(error = %whole(&error), "a preview of a capture cannot read the bus");
        Problem::busy("the bus cannot be read now; weir's log says more", 5)
    })?;
    let time = |unix_ms: i64| weir_service::time::format(unix_ms.saturating_mul(1_000_000));
    Ok(Json(json!({
        "rows": found.rows,
        "schema": schema(&capture.definition),
        "scanned": found.scanned,
        "matched": found.matched,
        "left": found.left,
        "from": time(found.from_ms),
        "until": time(found.until_ms),
        "complete": found.is_complete,
        "sample": sample(&capture.definition.sample),
    })))
}

/// The start in milliseconds since the epoch, and how many rows are wanted.
fn read(parameters: &[(String, String)], now: i64) -> Result<(i64, usize), Problem> {
    let given = |wanted: &str| parameters.iter().find(|(name, text)| name == wanted && !text.is_empty());
    let text = given("start").map_or(START, |(_, text)| text);
    let start = weir_service::time::parse(text, now).map_err(|wrong| Problem::parameter("start", wrong))?;
    if start >= now {
        return Err(Problem::parameter("start", "it lies in the future: a preview is of what the bus holds already"));
    }
    let limit = match given("limit") {
        None => MAX_ROWS,
        Some((_, text)) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MAX_ROWS).contains(limit))
            .ok_or_else(|| Problem::parameter("limit", format!("«{text}» is no number from 1 to {MAX_ROWS}")))?,
    };
    Ok((start.div_euclid(1_000_000), limit))
}

/// Which conditions of a sample a preview goes by, and which it does not; nothing where there is no sample.
fn sample(sample: &Sample) -> Option<Value> {
    let left_out = [
        ("ratio", sample.ratio.is_some()),
        ("rows_per_minute", sample.rows_per_minute.is_some()),
        ("while_firing", sample.while_firing.is_some()),
    ];
    let names = |of: &[(&'static str, bool)]| {
        of.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let applied = names(&[("slower_than", sample.slower_than.is_some()), ("errors_only", sample.errors_only)]);
    let shown = json!({ "applied": applied, "not_applied": names(&left_out) });
    (!sample.is_all()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_parameter_that_cannot_be_then_it_is_named() {
        let now = 1_700_000_000_000_000_000;
        let of = |name: &str, text: &str| read(&[(name.to_owned(), text.to_owned())], now);
        for (name, text, right) in [
            ("limit", "", Some((1_699_999_100_000, 10))),
            ("limit", "3", Some((1_699_999_100_000, 3))),
            ("start", "now-1m", Some((1_699_999_940_000, 10))),
            ("limit", "0", None),
            ("limit", "11", None),
            ("limit", "few", None),
            ("start", "soon", None),
            ("start", "now+1m", None),
        ] {
            match (of(name, text), right) {
                (Ok(read), Some(right)) => assert_eq!(read, right, "{name}={text}"),
                (Err(problem), None) => assert_eq!(problem.parameter.as_deref(), Some(name), "{name}={text}"),
                (read, _) => panic!("{name}={text}: {read:?}"),
            }
        }
    }

    #[test]
    fn given_a_sample_then_what_a_preview_does_not_go_by_is_named() {
        assert_eq!(sample(&Sample::default()), None);
        let given: Sample = serde_saphyr::from_str("{ratio: 0.1, slower_than: p99, while_firing: Slow}").unwrap();
        let shown = json!({ "applied": ["slower_than"], "not_applied": ["ratio", "while_firing"] });
        assert_eq!(sample(&given), Some(shown));
    }
}
