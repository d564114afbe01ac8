//! Spans as OTLP's JSON has them, sent until they are acknowledged.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::{Value, json};

/// A span that is sent.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) start: i64,
    pub(super) nanos: i64,
    /// As OTLP's JSON has them.
    pub(super) attributes: Value,
}

/// Random bytes in hexadecimal digits.
pub(super) fn id(rng: &mut Xoshiro256PlusPlus, bytes: usize) -> String {
    hex::encode((0..bytes).map(|_| rng.random::<u8>()).collect::<Vec<_>>())
}

pub(super) fn now() -> i64 {
    weir_service::time::now_unix_nano()
}

/// Attributes of a JSON object of strings, numbers and truths.
pub(super) fn attributes(values: &Value) -> Value {
    let value = |value: &Value| match value {
        Value::Bool(value) => json!({ "boolValue": value }),
        Value::Number(number) if number.is_i64() => json!({ "intValue": number.to_string() }),
        Value::Number(number) => json!({ "doubleValue": number }),
        Value::String(text) => json!({ "stringValue": text }),
        other => panic!("no attribute: {other}"),
    };
    values.as_object().unwrap().iter().map(|(name, of)| json!({ "key": name, "value": value(of) })).collect()
}

impl Span {
    /// One that ends now, of a trace of its own.
    pub(super) fn new(rng: &mut Xoshiro256PlusPlus, took: Duration) -> Self {
        let nanos = i64::try_from(took.as_nanos()).unwrap();
        Self { trace: id(rng, 16), id: id(rng, 8), start: now() - nanos, nanos, attributes: json!([]) }
    }

    fn json(&self) -> Value {
        json!({
            "traceId": self.trace, "spanId": self.id, "kind": 2, "name": "POST /v1", "attributes": self.attributes,
            "startTimeUnixNano": self.start.to_string(), "endTimeUnixNano": (self.start + self.nanos).to_string(),
        })
    }
}

/// An export request of one resource. Its instance chooses the partition.
pub(super) fn export(service: &str, tenant: &str, instance: u32, spans: &[Span]) -> Value {
    let resource = attributes(&json!({
        "service.name": service, "weir.tenant": tenant, "service.instance.id": format!("i{instance}"),
    }));
    let spans: Vec<Value> = spans.iter().map(Span::json).collect();
    json!({ "resource": { "attributes": resource }, "scopeSpans": [{ "spans": spans }] })
}

/// Sends resources in one request; whether they were acknowledged.
pub(super) async fn post(client: &reqwest::Client, otlp: &str, resources: &[Value]) -> bool {
    let request = client.post(format!("{otlp}/v1/traces")).json(&json!({ "resourceSpans": resources }));
    let answer = request.timeout(Duration::from_secs(15)).send().await;
    match answer {
        Ok(answer) if answer.status() == 200 => {
            let body: Value = answer.json().await.unwrap_or_default();
            assert!(body["partialSuccess"]["rejectedSpans"].is_null(), "{body}");
            true
        }
        _ => false,
    }
}

pub(super) fn client() -> reqwest::Client {
    // An error says that a provider is there already, which is what is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
