//! A line as the API shows it.

use serde_json::{Value, json};
use weir_query::line::{Body, Line};
use weir_query::{fields, severity};

/// One hit. A body that is not UTF-8 is shown with replacement characters, and as it is, in hex, in `body_bytes`.
pub(crate) fn hit(line: &Line) -> Value {
    let object = |attributes: &[(String, _)]| -> Value {
        Value::Object(attributes.iter().map(|(name, value)| (name.clone(), fields::json(value))).collect())
    };
    let body: Value = match &line.body {
        Body::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        other => Value::from(other.text().into_owned()),
    };
    let mut hit = json!({
        "id": line.id.to_string(),
        "timestamp": weir_service::time::format(line.time),
        "tenant": line.source.tenant,
        "service": line.source.service,
        "severity": severity::shown(line),
        "body": body,
        "trace_id": hex::encode(&line.trace_id),
        "span_id": hex::encode(&line.span_id),
        "resource": object(&line.source.resource),
        "attributes": object(&line.attributes),
    });
    if !line.severity_text.is_empty() && hit["severity"] != *line.severity_text {
        hit["severity_text"] = line.severity_text.as_str().into();
    }
    if !line.source.scope.is_empty() {
        hit["scope"] = object(&line.source.scope);
    }
    if let Body::Bytes(bytes) = &line.body {
        hit["body_bytes"] = hex::encode(bytes).into();
    }
    hit
}
