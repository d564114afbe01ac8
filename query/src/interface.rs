//! What a caller calls, by the rule that call statistics begin with.

use weir_calls::attributes::{Attributes, Value as Said};
use weir_calls::interface::MAX_BYTES;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::trace::v1::{Span, span::SpanKind};

/// The interface of a span: of kinds SERVER and CONSUMER by [`weir_calls::attributes`]; of other kinds the span's name.
pub(crate) fn of(span: &Span) -> String {
    let is_called = span.kind == SpanKind::Server as i32 || span.kind == SpanKind::Consumer as i32;
    let mut attributes = Attributes::default();
    if is_called {
        for pair in &span.attributes {
            let value = match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(Value::StringValue(text)) => Said::Text(text),
                _ => Said::Other,
            };
            attributes.take(pair.key.as_bytes(), value);
        }
    }
    let mut interface = if is_called { attributes.interface(&span.name).concat() } else { span.name.clone() };
    interface.truncate(interface.floor_char_boundary(MAX_BYTES));
    interface
}

#[cfg(test)]
mod tests {
    use weir_proto::otlp::common::v1::{AnyValue, KeyValue};

    use super::*;

    fn span(kind: SpanKind, attributes: &[(&str, Value)]) -> Span {
        let pair = |(key, value): &(&str, Value)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue { value: Some(value.clone()) }),
            ..KeyValue::default()
        };
        Span {
            name: "recognize".into(),
            kind: kind as i32,
            attributes: attributes.iter().map(pair).collect(),
            ..Span::default()
        }
    }

    #[test]
    fn given_what_a_span_says_then_its_interface_is_route_or_method_or_name() {
        let text = |text: &str| Value::StringValue(text.into());
        let (method, route) = (("http.request.method", text("POST")), ("http.route", text("/v1/ocr")));
        let (service, call) = (("rpc.service", text("ocr.V1")), ("rpc.method", text("Read")));
        for (kind, attributes, interface) in [
            (SpanKind::Server, &[][..], "recognize"),
            (SpanKind::Server, &[method.clone(), route.clone()], "POST /v1/ocr"),
            (SpanKind::Consumer, &[service.clone(), call.clone()], "ocr.V1/Read"),
            (SpanKind::Server, &[service.clone(), call.clone(), route.clone(), method.clone()], "POST /v1/ocr"),
            (SpanKind::Server, &[service.clone(), call.clone(), method.clone()], "ocr.V1/Read"),
            (SpanKind::Server, &[method.clone(), service], "recognize"),
            (SpanKind::Server, &[("http.route", text("")), method.clone(), route.clone()], "recognize"),
            (SpanKind::Server, &[("http.request.method", Value::IntValue(1)), route.clone()], "recognize"),
            (SpanKind::Client, &[method, route], "recognize"),
        ] {
            assert_eq!(of(&span(kind, attributes)), interface, "{kind:?} {attributes:?}");
        }
    }

    #[test]
    fn given_a_long_name_then_it_is_cut_between_characters() {
        let long = Span { name: "显".repeat(100), ..Span::default() };
        assert_eq!(of(&long), "显".repeat(85));
    }
}
