//! One line of all that the parts of a call say.

use weir_proto::otlp::common::v1::any_value::Value;
use weir_query::line::{Body, Line, OfSpan};

/// OTLP's number of a status that is an error.
const STATUS_ERROR: i32 = 2;

/// Joins parts in their order, at the place of the first. Attributes, and the keys of bodies that are JSON objects, are
/// those of all parts, each as the last of them has it; other bodies follow each other line by line. A part that came
/// twice adds nothing.
pub(crate) fn merge(parts: Vec<Line>) -> Option<Line> {
    let mut parts = parts.into_iter();
    let mut merged = parts.next()?;
    let mut bodies = vec![merged.body.clone()];
    for part in parts {
        merged.time = merged.time.min(part.time);
        if part.severity > merged.severity {
            merged.severity = part.severity;
            merged.severity_text = part.severity_text;
        }
        if !part.body.is_empty() && !bodies.contains(&part.body) {
            merged.body = join_bodies(&merged.body, &part.body);
            bodies.push(part.body);
        }
        add_attributes(&mut merged.attributes, part.attributes);
        match (&mut merged.span, part.span) {
            (Some(merged), Some(part)) => add_span(merged, *part),
            (merged @ None, part) => *merged = part,
            (Some(_), None) => {}
        }
    }
    Some(merged)
}

fn add_attributes(merged: &mut Vec<(String, Value)>, part: Vec<(String, Value)>) {
    for (key, value) in part {
        match merged.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 = value,
            None => merged.push((key, value)),
        }
    }
}

fn add_span(merged: &mut OfSpan, part: OfSpan) {
    let or = |known: &mut String, other: String| {
        if known.is_empty() {
            *known = other;
        }
    };
    or(&mut merged.name, part.name);
    or(&mut merged.interface, part.interface);
    if merged.kind == 0 {
        merged.kind = part.kind;
    }
    if merged.parent_span_id.is_empty() {
        merged.parent_span_id = part.parent_span_id;
    }
    // An error stays one; else the last word counts.
    if merged.status != STATUS_ERROR && part.status != 0 {
        merged.status = part.status;
        merged.status_message = part.status_message;
    }
    if merged.start == 0 || (part.start != 0 && part.start < merged.start) {
        merged.start = part.start;
    }
    merged.end = merged.end.max(part.end);
    merged.dropped_attributes = merged.dropped_attributes.max(part.dropped_attributes);
    for event in part.events {
        if !merged.events.contains(&event) {
            merged.events.push(event);
        }
    }
}

fn join_bodies(body: &Body, part: &Body) -> Body {
    if body.is_empty() {
        return part.clone();
    }
    let object = |body: &Body| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body.bytes()).ok();
    if let (Some(mut merged), Some(part)) = (object(body), object(part)) {
        merged.extend(part);
        let text = serde_json::Value::Object(merged).to_string();
        return if matches!(body, Body::Json(_)) { Body::Json(text) } else { Body::Text(text) };
    }
    Body::Text(format!("{}\n{}", body.text(), part.text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::tests::{span, text};

    fn part(attributes: &[(&str, Value)], of: OfSpan) -> Line {
        Line { span: Some(Box::new(of)), ..span("acme", attributes) }
    }

    #[test]
    fn given_parts_of_a_call_then_the_line_has_what_each_of_them_says() {
        let begun =
            OfSpan { name: "chat".to_owned(), start: 5, events: vec![("a".to_owned(), vec![])], ..OfSpan::default() };
        let ended = OfSpan { status: 2, start: 5, end: 9, kind: 2, dropped_attributes: 1, ..begun.clone() };
        let late = OfSpan { status: 1, events: vec![("b".to_owned(), vec![])], ..OfSpan::default() };
        let line = merge(vec![
            part(&[("request", text("q")), ("n", Value::IntValue(1))], begun),
            part(&[("answer", text("a")), ("n", Value::IntValue(2))], ended),
            part(&[], late),
        ])
        .unwrap();
        assert_eq!(
            line.attributes,
            [("request".to_owned(), text("q")), ("n".to_owned(), Value::IntValue(2)), ("answer".to_owned(), text("a"))]
        );
        let of = line.span.unwrap();
        assert_eq!((of.name.as_str(), of.kind, of.status, of.start, of.end), ("chat", 2, 2, 5, 9));
        assert_eq!(of.dropped_attributes, 1);
        assert_eq!(of.events.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(merge(Vec::new()), None);
    }

    #[test]
    fn given_bodies_then_objects_become_one_and_text_follows_text() {
        let object = |text: &str| Body::Json(text.to_owned());
        let plain = |text: &str| Body::Text(text.to_owned());
        for (bodies, merged) in [
            (vec![object(r#"{"q":1,"n":1}"#), object(r#"{"a":2,"n":2}"#)], object(r#"{"a":2,"n":2,"q":1}"#)),
            (vec![plain(r#"{"q":1}"#), object(r#"{"a":2}"#)], plain(r#"{"a":2,"q":1}"#)),
            (vec![plain("one"), plain("two"), plain("one")], plain("one\ntwo")),
            (vec![plain(""), object("[1]")], object("[1]")),
        ] {
            let parts = bodies.into_iter().map(|body| Line { body, ..span("acme", &[]) }).collect();
            let body = merge(parts).unwrap().body;
            let same = |a: &Body, b: &Body| {
                let json = |body: &Body| serde_json::from_slice::<serde_json::Value>(body.bytes()).ok();
                a == b
                    || (std::mem::discriminant(a) == std::mem::discriminant(b)
                        && json(a).is_some()
                        && json(a) == json(b))
            };
            assert!(same(&body, &merged), "{body:?} is not {merged:?}");
        }
    }
}
