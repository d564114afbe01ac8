use weir_proto::otlp::common::v1::AnyValue;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Status};

use super::*;

const T: u64 = 1_700_000_000 * SECOND;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn span(id: u8, end: u64, millis: u64) -> Span {
    Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        name: format!("call{id}"),
        kind: SpanKind::Server as i32,
        start_time_unix_nano: end.saturating_sub(millis * 1_000_000),
        end_time_unix_nano: end,
        ..Span::default()
    }
}

fn fold(spans: Vec<Span>, cap: usize) -> v1::CallDeltas {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let mut fold = Fold::new(cap, Seen::new(600 * SECOND, 1000));
    fold.add(&ExportTraceServiceRequest { resource_spans }, T + 10 * SECOND);
    fold.finish("otlp_spans", 3, 5, 6)
}

#[test]
fn every_call_is_counted_a_duplicate_or_rejected() {
    let client = Span { kind: SpanKind::Client as i32, ..span(9, T, 1) };
    let short_id = Span { span_id: vec![1], ..span(2, T, 1) };
    let backwards = Span { start_time_unix_nano: T + 1, ..span(3, T, 1) };
    let deltas = fold(vec![span(1, T, 1), span(1, T, 1), short_id, backwards, span(4, 0, 0), client], 10);
    assert_eq!((deltas.spans, deltas.counted, deltas.duplicates, deltas.rejected), (5, 1, 1, 3));
    assert_eq!((deltas.other_kinds, deltas.first_offset, deltas.end_offset), (1, 5, 6));
}

#[test]
fn a_call_lies_in_the_second_in_which_it_ended() {
    let mut failed = span(1, T + SECOND, 250);
    failed.status = Some(Status { code: StatusCode::Error as i32, ..Status::default() });
    failed.attributes = vec![
        attribute("http.request.method", Value::StringValue("POST".into())),
        attribute("http.route", Value::StringValue("/ocr".into())),
        attribute("gen_ai.usage.output_tokens", Value::IntValue(7)),
    ];
    let deltas = fold(vec![failed], 10);
    let series = &deltas.series[0];
    let names = (&series.tenant[..], &series.service[..], &series.interface[..]);
    assert_eq!(names, ("default", "unknown_service", "POST /ocr"));
    let slot = &series.slots[0];
    assert_eq!((slot.unix_seconds, slot.calls, slot.errors, slot.output_tokens), (1_700_000_001, 1, 1, 7));
    assert_eq!(slot.durations.as_ref().map(|d| (d.sum, d.min, d.max)), Some((250_000, 250_000, 250_000)));
}

#[test]
fn interfaces_over_the_cap_become_other_and_are_counted() {
    let deltas = fold(vec![span(1, T, 1), span(2, T, 1), span(3, T, 1)], 1);
    let names: Vec<_> = deltas.series.iter().map(|s| (&s.interface[..], s.slots[0].calls)).collect();
    assert_eq!(names, [("call1", 1), (OTHER, 2)]);
    assert_eq!(deltas.overflowed, 2);
}

#[test]
fn a_span_from_the_future_does_not_push_the_watermark_past_its_arrival() {
    assert_eq!(fold(vec![span(1, T + 3600 * SECOND, 1)], 1).watermark_unix_nano, T + 11 * SECOND);
}
