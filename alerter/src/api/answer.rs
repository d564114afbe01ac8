//! Prometheus' JSON: what queries answer, and how they fail.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value as Json_, json};

use crate::promql;

/// An error in Prometheus' own form.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    kind: &'static str,
    text: String,
}

/// As Prometheus warns.
pub(super) const TRUNCATED: &str = "results truncated due to limit";

pub(super) type Answer = Result<Json<Json_>, Failure>;

impl Failure {
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_data", text: text.into() }
    }

    pub(super) fn parameter(name: &str, text: impl std::fmt::Display) -> Self {
        Self::bad(format!("invalid parameter \"{name}\": {text}"))
    }

    pub(super) fn timeout() -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, kind: "timeout", text: "the query took too long".to_owned() }
    }

    pub(super) fn internal(text: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "internal", text: text.into() }
    }
}

impl From<promql::Error> for Failure {
    fn from(error: promql::Error) -> Self {
        use promql::Error;
        match error {
            Error::Parse(_) | Error::Unsupported { .. } | Error::Type(_) => Self::bad(error.to_string()),
            Error::Limit { .. } | Error::Data(_) => {
                Self { status: StatusCode::UNPROCESSABLE_ENTITY, kind: "execution", text: error.to_string() }
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"status": "error", "errorType": self.kind, "error": self.text});
        (self.status, Json(body)).into_response()
    }
}

/// `data` as Prometheus wraps it.
#[allow(clippy::unnecessary_wraps, reason = "what handlers return")]
pub(super) fn success(data: &Json_) -> Answer {
    Ok(Json(json!({"status": "success", "data": data})))
}

/// A list, cut at a limit that is not 0. Where it is cut, a warning says so, as Prometheus' does, and so does one where
/// it was made of the first `seen` series only.
#[allow(clippy::unnecessary_wraps, reason = "what handlers return")]
pub(super) fn list(mut items: Vec<Json_>, limit: usize, seen: Option<usize>) -> Answer {
    let mut warnings = Vec::new();
    if let Some(seen) = seen {
        warnings
            .push(format!("results truncated: they are those of the first {seen} series; ask for fewer by match[]"));
    }
    if limit != 0 && items.len() > limit {
        items.truncate(limit);
        warnings.push(TRUNCATED.to_owned());
    }
    let mut answer = json!({"status": "success", "data": items});
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    Ok(Json(answer))
}

pub(super) fn instant(value: &promql::Value, time_ms: i64) -> Json_ {
    match value {
        promql::Value::Scalar(value) => json!({"resultType": "scalar", "result": [seconds(time_ms), float(*value)]}),
        promql::Value::Vector(samples) => {
            let sample = |sample: &promql::Sample| match &sample.value {
                promql::Number::Float(value) => {
                    json!({"metric": sample.labels, "value": [seconds(time_ms), float(*value)]})
                }
                promql::Number::Histogram(value) => {
                    json!({"metric": sample.labels, "histogram": [seconds(time_ms), histogram(value)]})
                }
            };
            json!({"resultType": "vector", "result": samples.iter().map(sample).collect::<Vec<_>>()})
        }
        promql::Value::Matrix(ranges) => matrix(ranges),
        promql::Value::Text(text) => json!({"resultType": "string", "result": [seconds(time_ms), text]}),
    }
}

pub(super) fn matrix(ranges: &[promql::Range]) -> Json_ {
    let series = |range: &promql::Range| {
        let (mut values, mut histograms) = (Vec::new(), Vec::new());
        for (time, number) in &range.points {
            match number {
                promql::Number::Float(value) => values.push(json!([seconds(*time), float(*value)])),
                promql::Number::Histogram(value) => histograms.push(json!([seconds(*time), histogram(value)])),
            }
        }
        let mut series = serde_json::Map::new();
        series.insert("metric".to_owned(), json!(range.labels));
        if !values.is_empty() {
            series.insert("values".to_owned(), Json_::Array(values));
        }
        if !histograms.is_empty() {
            series.insert("histograms".to_owned(), Json_::Array(histograms));
        }
        Json_::Object(series)
    };
    json!({"resultType": "matrix", "result": ranges.iter().map(series).collect::<Vec<_>>()})
}

/// As Prometheus writes native histograms; 1 is the rule of buckets that are closed left and open right.
fn histogram(value: &promql::Histogram) -> Json_ {
    let edge = |micros: u64| float(micros as f64 / 1e6);
    let bucket =
        |(low, end, count): (u64, u64, u64)| json!([1, edge(low), edge(end), float(count as f64 * value.scale)]);
    let buckets: Vec<_> = value.hdr.slots().map(bucket).collect();
    json!({"count": float(value.count()), "sum": float(value.sum()), "buckets": buckets})
}

fn seconds(unix_ms: i64) -> f64 {
    unix_ms as f64 / 1000.0
}

/// A float as text.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}
