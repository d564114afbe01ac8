//! What all of weir answers where Elasticsearch's API is spoken: the shape of its errors, its dates, names of its common
//! schema, and what shippers and clients ask before they send or search.

mod handshake;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

pub use self::handshake::handshake;

/// The version that `/elastic/` gives.
pub const VERSION: &str = "8.17.0";

/// The resource attribute that holds the index that a document was written to.
pub const INDEX: &str = "elasticsearch.index";

/// Fields of Elastic's common schema, and of Fluent Bit, with the resource attributes that they are.
pub const RESOURCE: [(&str, &str); 22] = [
    ("service.name", "service.name"),
    ("service.version", "service.version"),
    ("host.name", "host.name"),
    ("kubernetes.namespace", "k8s.namespace.name"),
    ("kubernetes.pod.name", "k8s.pod.name"),
    ("kubernetes.pod.uid", "k8s.pod.uid"),
    ("kubernetes.container.name", "k8s.container.name"),
    ("kubernetes.node.name", "k8s.node.name"),
    ("kubernetes.deployment.name", "k8s.deployment.name"),
    ("kubernetes.statefulset.name", "k8s.statefulset.name"),
    ("kubernetes.daemonset.name", "k8s.daemonset.name"),
    ("kubernetes.namespace_name", "k8s.namespace.name"),
    ("kubernetes.pod_name", "k8s.pod.name"),
    ("kubernetes.pod_id", "k8s.pod.uid"),
    ("kubernetes.container_name", "k8s.container.name"),
    ("kubernetes.host", "k8s.node.name"),
    ("container.id", "container.id"),
    ("container.name", "container.name"),
    ("container.runtime", "container.runtime"),
    ("container.image.name", "container.image.name"),
    ("log.file.path", "log.file.path"),
    ("weir.tenant", "weir.tenant"),
];

/// An error as Elasticsearch answers it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Fault {
    /// HTTP status.
    pub status: StatusCode,
    /// Its type, such as `parsing_exception`.
    pub kind: &'static str,
    /// What is wrong, and what would be right.
    pub reason: String,
    /// The index at fault.
    pub index: Option<String>,
    /// Seconds after which the request may be sent again.
    pub retry_after: Option<u64>,
}

impl Fault {
    /// An error of this type.
    pub fn new(status: StatusCode, kind: &'static str, reason: impl Into<String>) -> Self {
        Self { status, kind, reason: reason.into(), index: None, retry_after: None }
    }

    /// 400: the request's JSON is not of the expected shape.
    pub fn parsing(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parsing_exception", reason)
    }

    /// 400: a value that cannot be.
    pub fn argument(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "illegal_argument_exception", reason)
    }

    /// 404: no such index.
    pub fn no_index(index: &str) -> Self {
        let reason = format!("no such index [{index}]");
        Self { index: Some(index.to_owned()), ..Self::new(StatusCode::NOT_FOUND, "index_not_found_exception", reason) }
    }

    /// The error object, without the status.
    pub fn error(&self) -> Value {
        let mut error = json!({"type": self.kind, "reason": self.reason});
        if let Some(index) = &self.index {
            error["index"] = index.as_str().into();
        }
        error
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        let mut error = self.error();
        error["root_cause"] = json!([self.error()]);
        json!({"error": error, "status": self.status.as_u16()})
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = answer(self.status, self.body());
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A JSON answer with the header by which clients know Elasticsearch.
pub fn answer(status: StatusCode, body: Value) -> Response {
    let mut response = (status, axum::Json(body)).into_response();
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}

/// Nanoseconds since the epoch of a date as Elasticsearch reads it by default: ISO 8601, of which the time and the zone
/// (UTC) may be missing, or milliseconds since the epoch.
pub fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.len() != 4 && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<i64>().ok()?.checked_mul(1_000_000);
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return i64::try_from(instant.as_nanosecond()).ok();
    }
    let of = |civil: DateTime| i64::try_from(TimeZone::UTC.to_timestamp(civil).ok()?.as_nanosecond()).ok();
    match text.len() {
        4 => of(Date::new(text.parse().ok()?, 1, 1).ok()?.at(0, 0, 0, 0)),
        7 => of(format!("{text}-01").parse::<Date>().ok()?.at(0, 0, 0, 0)),
        _ => match text.parse::<DateTime>() {
            Ok(civil) => of(civil),
            Err(_) => of(text.parse::<Date>().ok()?.at(0, 0, 0, 0)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_elasticsearch_reads_them() {
        for (text, milliseconds) in [
            ("1700000000000", 1_700_000_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-15T06:13:20.5+08:00", 1_700_000_000_500),
            ("2023-11-14T22:13:20", 1_700_000_000_000),
            ("2023-11-14", 1_699_920_000_000),
            ("2023-11", 1_698_796_800_000),
            ("2023", 1_672_531_200_000),
            ("-1", -1),
        ] {
            assert_eq!(date(text), Some(milliseconds * 1_000_000), "{text}");
        }
        for text in ["", "yesterday", "2023-13-01", "99999999999999999999"] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
