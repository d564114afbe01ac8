//! `POST /json`: the same service in protobuf's JSON, as envoyproxy/ratelimit has it.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use weir_proto::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use weir_proto::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::{Entry, RateLimitOverride};
use weir_proto::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus, RateLimit, rate_limit};
use weir_proto::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use weir_proto::envoy::r#type::v3::RateLimitUnit;
use weir_service::auth::{Access, Tenants};
use weir_service::http::{Problem, Route, Routes};

use super::headers::headers;
use super::request::MAX_BODY;
use super::service::Service;

pub(super) fn routes(service: &Arc<Service>) -> Routes {
    let about = "Whether calls are within their limits: Envoy's rate limit service in protobuf's JSON";
    Routes::new().on(Route::post("/json", Access::Send, about), decide).with_state(service)
}

async fn decide(State(service): State<Arc<Service>>, tenants: Tenants, body: Bytes) -> Result<Response, Problem> {
    if body.len() > MAX_BODY {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {MAX_BODY} bytes")));
    }
    let wrong = |error: serde_json::Error| {
        Problem::new(StatusCode::BAD_REQUEST, format!("the body is not a RateLimitRequest in JSON: {error}"))
    };
    let request = parse(&body).map_err(wrong)?;
    let answer = service.answer(&request, &tenants, super::now_unix()).await;
    let answer = answer.map_err(|refusal| Problem::new(refusal.status(), refusal.to_string()))?;
    let is_over = answer.overall_code == Code::OverLimit as i32;
    let status = if is_over { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
    let mut response = (status, axum::Json(ResponseJson::from(&answer))).into_response();
    for (name, value) in headers(&answer).into_iter().flatten() {
        // The name of a limit may hold what no header can.
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    Ok(response)
}

/// A request of this text.
pub(super) fn parse(body: &[u8]) -> serde_json::Result<RateLimitRequest> {
    serde_json::from_slice::<RequestJson>(body).map(Into::into)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestJson {
    domain: Option<String>,
    descriptors: Option<Vec<DescriptorJson>>,
    #[serde(alias = "hits_addend", rename = "hitsAddend", default, deserialize_with = "Number::narrow")]
    hits_addend: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescriptorJson {
    entries: Option<Vec<EntryJson>>,
    limit: Option<OverrideJson>,
    #[serde(alias = "hits_addend", rename = "hitsAddend")]
    hits_addend: Option<Number>,
    #[serde(alias = "is_negative_hits", rename = "isNegativeHits")]
    is_negative_hits: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryJson {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideJson {
    #[serde(alias = "requests_per_unit", rename = "requestsPerUnit", default, deserialize_with = "Number::narrow")]
    requests_per_unit: Option<u32>,
    unit: Option<UnitJson>,
}

/// A whole number, or its text: protobuf's JSON writes 64 bits as text, and reads either.
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number that is not negative")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Number, E> {
                // Exact up to here.
                let is_whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
                if is_whole {
                    Ok(Number(number as u64))
                } else {
                    Err(E::invalid_value(Unexpected::Float(number), &self))
                }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Number {
    /// Of a field of 32 bits.
    fn narrow<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
        let number = Option::<Self>::deserialize(deserializer)?;
        let narrow =
            |Self(number)| u32::try_from(number).map_err(|_| D::Error::custom(format!("{number} is over 4294967295")));
        number.map(narrow).transpose()
    }
}

/// An enumeration's value, by name or number.
#[derive(Deserialize)]
#[serde(untagged)]
enum UnitJson {
    Name(String),
    Number(i32),
}

impl From<RequestJson> for RateLimitRequest {
    fn from(json: RequestJson) -> Self {
        Self {
            domain: json.domain.unwrap_or_default(),
            descriptors: json.descriptors.unwrap_or_default().into_iter().map(Into::into).collect(),
            hits_addend: json.hits_addend.unwrap_or_default(),
        }
    }
}

impl From<DescriptorJson> for RateLimitDescriptor {
    fn from(json: DescriptorJson) -> Self {
        let entry =
            |json: EntryJson| Entry { key: json.key.unwrap_or_default(), value: json.value.unwrap_or_default() };
        Self {
            entries: json.entries.unwrap_or_default().into_iter().map(entry).collect(),
            limit: json.limit.map(Into::into),
            hits_addend: json.hits_addend.map(|Number(hits)| hits),
            is_negative_hits: json.is_negative_hits.unwrap_or_default(),
        }
    }
}

impl From<OverrideJson> for RateLimitOverride {
    fn from(json: OverrideJson) -> Self {
        let unit = match json.unit {
            // A name that there is not stays unknown, which the service refuses.
            Some(UnitJson::Name(name)) => RateLimitUnit::from_str_name(&name).unwrap_or_default() as i32,
            Some(UnitJson::Number(number)) => number,
            None => 0,
        };
        Self { requests_per_unit: json.requests_per_unit.unwrap_or_default(), unit }
    }
}

/// Fields that have their default are left out, as protobuf's JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseJson {
    overall_code: &'static str,
    statuses: Vec<StatusJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_limit: Option<LimitJson>,
    #[serde(skip_serializing_if = "is_default")]
    limit_remaining: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_until_reset: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LimitJson {
    #[serde(skip_serializing_if = "is_default")]
    requests_per_unit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    #[serde(skip_serializing_if = "is_default")]
    name: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<&RateLimitResponse> for ResponseJson {
    fn from(response: &RateLimitResponse) -> Self {
        Self {
            overall_code: response.overall_code().as_str_name(),
            statuses: response.statuses.iter().map(Into::into).collect(),
        }
    }
}

impl From<&DescriptorStatus> for StatusJson {
    fn from(status: &DescriptorStatus) -> Self {
        Self {
            code: status.code().as_str_name(),
            current_limit: status.current_limit.as_ref().map(Into::into),
            limit_remaining: status.limit_remaining,
            duration_until_reset: status.duration_until_reset.map(|of| format!("{}s", of.seconds)),
        }
    }
}

impl From<&RateLimit> for LimitJson {
    fn from(limit: &RateLimit) -> Self {
        let unit = Some(limit.unit()).filter(|unit| *unit != rate_limit::Unit::Unknown);
        Self {
            requests_per_unit: limit.requests_per_unit,
            unit: unit.map(|unit| unit.as_str_name()),
            name: limit.name.clone(),
        }
    }
}
