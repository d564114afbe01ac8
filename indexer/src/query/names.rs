//! Names of fields as users of Elasticsearch write them, and the fields of a line that they mean.

use weir_service::elastic::{INDEX, RESOURCE};

/// The fields that a name means, in the order in which they are looked at: those of the line by weir's names, and, behind
/// `body.`, those of a body that is a JSON object. `.keyword` at the end means the same field.
pub fn columns(name: &str) -> Vec<String> {
    let name = name.strip_suffix(".keyword").unwrap_or(name);
    let own = match name {
        "@timestamp" | "timestamp" => "timestamp",
        "message" | "body" => "body",
        "log.level" | "severity" => "severity",
        "service.name" | "service" => "service",
        "trace.id" | "trace_id" => "trace_id",
        "span.id" | "span_id" => "span_id",
        "weir.tenant" | "tenant" => "tenant",
        "_index" => return vec![format!("resource.{INDEX}")],
        "_id" => return vec!["attributes._id".to_owned()],
        _ => "",
    };
    if !own.is_empty() {
        return vec![own.to_owned()];
    }
    if ["resource.", "attributes.", "body."].iter().any(|part| name.starts_with(part)) {
        return vec![name.to_owned()];
    }
    let in_body = format!("body.{name}");
    match RESOURCE.iter().find(|(field, attribute)| *field == name && attribute != field) {
        Some((_, attribute)) => vec![format!("resource.{attribute}"), name.to_owned(), in_body],
        None => vec![name.to_owned(), in_body],
    }
}
