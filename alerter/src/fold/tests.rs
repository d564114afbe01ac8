use proptest::prelude::*;
use prost::Message as _;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue, any_value::Value};
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode};

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
    fold.add(&ExportTraceServiceRequest { resource_spans }.encode_to_vec(), T + 10 * SECOND).unwrap();
    fold.finish("otlp_spans", 3, 5, 6)
}

#[test]
fn every_call_is_counted_a_duplicate_or_rejected() {
    let client = Span { kind: SpanKind::Client as i32, ..span(9, T, 1) };
    let short_id = Span { span_id: vec![1], ..span(2, T, 1) };
    let backwards = Span { start_time_unix_nano: T + 1, ..span(3, T, 1) };
    let no_start = Span { start_time_unix_nano: 0, ..span(5, T, 1) };
    let spans = vec![span(1, T, 1), span(1, T, 1), short_id, backwards, span(4, 0, 0), no_start, span(0, T, 1), client];
    let deltas = fold(spans, 10);
    assert_eq!((deltas.spans, deltas.counted, deltas.duplicates, deltas.rejected), (7, 1, 1, 5));
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
fn given_no_status_then_attributes_say_that_a_call_failed_and_what_is_not_understood_is_counted() {
    let with =
        |id, key: &str, value| Span { attributes: vec![attribute(key, value)], name: "call".into(), ..span(id, T, 1) };
    let spans = vec![
        with(1, "http.status_code", Value::IntValue(500)),
        with(2, "rpc.response.status_code", Value::StringValue("INTERNAL".into())),
        with(3, "http.response.status_code", Value::IntValue(404)),
        with(4, "gen_ai.usage.prompt_tokens", Value::DoubleValue(7.0)),
        with(5, "gen_ai.usage.input_tokens", Value::StringValue("many".into())),
    ];
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let mut fold = Fold::new(10, Seen::new(600 * SECOND, 1000));
    fold.add(&ExportTraceServiceRequest { resource_spans }.encode_to_vec(), T + 10 * SECOND).unwrap();
    assert_eq!(fold.take_unread(), [0, 0, 0, 1, 0]);
    let deltas = fold.finish("otlp_spans", 0, 0, 1);
    let slot = &deltas.series[0].slots[0];
    assert_eq!((slot.calls, slot.errors, slot.input_tokens), (5, 2, 7));
}

/// As vLLM sends it.
fn answer(id: u8, first: f64, tokens: i64) -> Span {
    let attributes = vec![
        attribute("gen_ai.response.model", Value::StringValue("qwen-72b".into())),
        attribute("gen_ai.usage.prompt_tokens", Value::IntValue(900)),
        attribute("gen_ai.usage.cache_read.input_tokens", Value::IntValue(600)),
        attribute("gen_ai.usage.completion_tokens", Value::IntValue(tokens)),
        attribute("gen_ai.usage.reasoning_tokens", Value::IntValue(50)),
        attribute("gen_ai.latency.time_to_first_token", Value::DoubleValue(first)),
    ];
    Span { name: "llm_request".into(), attributes, ..span(id, T, 2000) }
}

#[test]
fn given_what_a_model_server_sends_then_tokens_and_their_times_are_counted() {
    let plain = Span { name: "llm_request qwen-72b".into(), ..span(3, T, 10) };
    let deltas = fold(vec![answer(1, 0.5, 101), answer(2, 0.25, 1), plain], 10);
    assert_eq!((deltas.series.len(), &deltas.series[0].interface[..]), (1, "llm_request qwen-72b"));
    let slot = &deltas.series[0].slots[0];
    assert_eq!((slot.calls, slot.input_tokens, slot.output_tokens), (3, 1800, 102));
    assert_eq!((slot.cached_input_tokens, slot.reasoning_output_tokens), (1200, 100));
    let times = |hdr: &Option<v1::Hdr>| hdr.as_ref().map(|hdr| (hdr.counts.iter().sum::<u64>(), hdr.sum, hdr.max));
    assert_eq!(times(&slot.time_to_first_token), Some((2, 750_000, 500_000)));
    assert_eq!(times(&slot.time_per_output_token), Some((1, 15_000, 15_000)));
    assert_eq!(fold(vec![span(1, T, 1)], 10).series[0].slots[0].time_to_first_token, None);
}

#[test]
fn given_attributes_before_the_kind_then_they_are_read() {
    // Every field of a span may stand anywhere.
    let whole = answer(1, 0.5, 101).encode_to_vec();
    let kind = [6 << 3, SpanKind::Server as u8];
    let at = whole.windows(2).position(|two| two == kind).unwrap();
    let moved = [&whole[..at], &whole[at + 2..], &kind].concat();
    let nested = |bytes: Vec<u8>, field: u8| {
        let mut outer = vec![field << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        [outer, bytes].concat()
    };
    let record = nested(nested(nested(moved, 2), 2), 1);
    let read = wire::read(&record).unwrap().remove(0);
    assert_eq!(read.calls[0].measures.sums, [0, 0, 900, 101, 600, 50]);
    assert_eq!(read.calls[0].interface.concat(), "llm_request qwen-72b");
}

#[test]
fn given_spans_of_other_kinds_then_they_are_counted_and_move_the_watermark_whatever_their_attributes_are() {
    let client = Span { kind: SpanKind::Client as i32, ..answer(1, 0.5, 101) };
    let unspecified = Span { kind: 0, ..answer(2, 0.5, 101) };
    let late = Span { kind: SpanKind::Internal as i32, ..span(3, T + 5 * SECOND, 1) };
    let deltas = fold(vec![client, unspecified, late], 10);
    assert_eq!((deltas.spans, deltas.other_kinds, deltas.watermark_unix_nano), (0, 3, T + 5 * SECOND));
}

#[test]
fn given_any_range_then_its_message_is_no_longer_than_was_foretold() {
    let mut fold = Fold::new(10, Seen::new(600 * SECOND, 1000));
    for id in 1..200 {
        let second = u64::from(id % 7) * SECOND;
        fold.add(&record(vec![Span { end_time_unix_nano: T + second, ..answer(id, 0.3, i64::from(id)) }]), T).unwrap();
        fold.add(&record(vec![span(id + 1, T + second, u64::from(id).pow(3))]), T).unwrap();
    }
    let foretold = fold.bytes();
    let range = fold.finish("otlp_spans", 0, 0, 1);
    let head = v1::CallDeltas { series: Vec::new(), ..range.clone() }.encoded_len();
    let length = range.encoded_len() - head;
    assert!(length <= foretold && foretold < 4 * length, "{length} of {foretold}");
}

#[test]
fn interfaces_over_the_cap_become_other_and_are_counted() {
    let deltas = fold(vec![span(1, T, 1), span(2, T, 1), span(3, T, 1)], 1);
    let names: Vec<_> = deltas.series.iter().map(|s| (&s.interface[..], s.slots[0].calls)).collect();
    assert_eq!(names, [("call1", 1), (OTHER, 2)]);
    assert_eq!(deltas.overflowed, 2);
}

fn record(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

#[test]
fn given_several_partitions_then_the_cap_is_the_tenants() {
    let interfaces = Interfaces::new(3);
    let fold = || Fold::new(3, Seen::new(600 * SECOND, 1000)).with_interfaces(interfaces.clone());
    let (mut names, mut calls, mut overflowed) = (std::collections::BTreeSet::new(), 0, 0);
    let mut folds: Vec<_> = (0..4).map(|_| fold()).collect();
    for round in 0..2 {
        for (partition, fold) in folds.iter_mut().enumerate() {
            let of = |id: u8| partition as u8 * 8 + id;
            fold.add(
                &record((1..=8).map(|id| Span { trace_id: vec![round + 1; 16], ..span(of(id), T, 1) }).collect()),
                T,
            )
            .unwrap();
            let range = fold.finish("otlp_spans", partition as i32, 0, 1);
            overflowed += range.overflowed;
            calls += range.series.iter().flat_map(|series| &series.slots).map(|slot| slot.calls).sum::<u64>();
            names.extend(range.series.into_iter().map(|series| series.interface));
        }
    }
    assert_eq!((names.len(), calls, overflowed), (4, 64, 58), "{names:?}");
    assert!(names.contains(OTHER));
}

#[test]
fn given_what_others_let_in_then_it_counts_and_goes_on_after_a_restart() {
    let mut first = Fold::new(2, Seen::new(600 * SECOND, 1000));
    first.add(&record(vec![span(1, T, 1), span(2, T, 1), span(3, T, 1)]), T).unwrap();
    let range = first.finish("otlp_spans", 0, 0, 1);
    let interfaces = Interfaces::new(2);
    interfaces.learn(&range);
    let mut other = Fold::new(2, Seen::new(600 * SECOND, 1000)).with_interfaces(interfaces);
    other.add(&record(vec![span(4, T, 1), span(2, T, 1)]), T).unwrap();
    let names: Vec<_> = other.finish("t", 1, 0, 1).series.into_iter().map(|series| series.interface).collect();
    assert_eq!(names, ["call2", OTHER]);
}

#[test]
fn given_late_calls_and_clocks_that_are_ahead_then_they_are_counted_by_service() {
    let mut fold =
        Fold::new(10, Seen::new(600 * SECOND, 1000)).with_lateness(Lateness::Fixed(std::time::Duration::from_secs(2)));
    fold.add(&record(vec![span(1, T + 10 * SECOND, 1), span(2, T, 1)]), T + 10 * SECOND).unwrap();
    assert_eq!(fold.take_skew().drain().count(), 0, "of one record none is late");
    let spans = vec![span(3, T + 6 * SECOND, 1), span(4, T + 7 * SECOND, 1), span(5, T + 8 * SECOND, 1)];
    let ahead = vec![span(6, T + 3600 * SECOND, 1), span(7, T + 11 * SECOND, 1)];
    fold.add(&record([spans.clone(), ahead, spans].concat()), T + 10 * SECOND).unwrap();
    let skew: Vec<_> = fold.take_skew().drain().collect();
    let service = ("default".to_owned(), "unknown_service".to_owned());
    assert_eq!(skew, [(service, Odd { late: 2, ahead: 1 })], "duplicates are not");
    let range = fold.finish("otlp_spans", 0, 0, 2);
    assert_eq!((range.counted, range.late_calls), (7, 2), "the record says so too");
    assert_eq!(fold.finish("otlp_spans", 0, 2, 3).late_calls, 0);
}

#[test]
fn a_span_from_the_future_does_not_push_the_watermark_past_its_arrival() {
    assert_eq!(fold(vec![span(1, T + 3600 * SECOND, 1)], 1).watermark_unix_nano, T + 11 * SECOND);
}

#[test]
fn a_record_cut_short_is_refused_and_nothing_of_it_is_counted() {
    let scope_spans = vec![ScopeSpans { spans: vec![span(1, T, 1), span(2, T, 1)], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let whole = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let mut fold = Fold::new(10, Seen::new(600 * SECOND, 1000));
    for end in 1..whole.len() {
        fold.add(&whole[..end], T).unwrap_err();
    }
    assert_eq!(
        fold.finish("t", 0, 0, 1),
        v1::CallDeltas { end_offset: 1, source_topic: "t".into(), ..Default::default() }
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Fold::new(10, Seen::new(600 * SECOND, 1000)).add(&value, T);
    }

    #[test]
    fn what_is_read_is_what_prost_reads(
        name in ".{0,10}", kind in 0..6_i32, times in any::<(u64, u64)>(), code in 0..3_i32,
        keys in prop::collection::vec((0..14_usize, 0..3_usize, ".{0,5}", any::<i64>(), any::<f64>()), 0..8),
    ) {
        const KEYS: [&str; 14] = [
            "http.request.method", "http.route", "rpc.service", "rpc.method", "http.request.body.size",
            "http.response.status_code", "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "other",
            "http.method", "error.type", "rpc.grpc.status_code", "gen_ai.latency.time_to_first_token",
            "gen_ai.usage.output_tokens",
        ];
        let made = Span {
            name,
            kind,
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            status: Some(Status { code, message: "m".into() }),
            attributes: keys.iter().map(|(key, what, text, int, double)| attribute(KEYS[*key], match what {
                0 => Value::StringValue(text.clone()),
                1 => Value::IntValue(*int),
                _ => Value::DoubleValue(*double),
            })).collect(),
            ..span(1, T, 1)
        };
        let scope_spans = vec![ScopeSpans { spans: vec![made.clone()], ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let read = wire::read(&bytes).unwrap().remove(0);
        let is_call = kind == SpanKind::Server as i32 || kind == SpanKind::Consumer as i32;
        prop_assert_eq!((read.others, read.latest), (u64::from(!is_call), times.1));
        if let Some(call) = read.calls.first() {
            let mut said = weir_calls::Attributes::default();
            for (key, what, text, int, double) in &keys {
                said.take(KEYS[*key].as_bytes(), match what {
                    0 => weir_calls::attributes::Value::Text(text),
                    1 => weir_calls::attributes::Value::Int(*int),
                    _ => weir_calls::attributes::Value::Double(*double),
                });
            }
            prop_assert_eq!((call.start, call.end), times);
            prop_assert_eq!(call.error, said.is_error(weir_calls::Status::from(code as u64)));
            prop_assert_eq!(call.interface, said.interface(&made.name));
            prop_assert_eq!(call.measures, said.measures(times.1.saturating_sub(times.0) / 1000));
        }
    }
}
