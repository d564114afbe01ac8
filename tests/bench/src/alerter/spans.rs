//! Spans to deltas, and the plainest loop over the same bytes.

use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use weir_alerter::fold::{Fold, Seen};
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind};

use super::{START, attribute};
use crate::{Ready, Work};

/// Spans of one request.
const SPANS: u64 = 500;
const INTERFACES: u64 = 1000;
const TENANTS: u64 = 50;
/// Of one span, its tag and length included.
const SPAN_BYTES: usize = 327;
/// As the fold's task ends a range.
const RANGE_BYTES: usize = 400_000;

/// Every how many spans one is of kind SERVER.
const A_QUARTER: u64 = 4;
const ALL: u64 = 1;

fn span(rng: &mut Xoshiro256PlusPlus, number: u64, interface: u64, server_every: u64) -> Span {
    let text = |text: &str| Value::StringValue(text.to_owned());
    let end = START * 1_000_000_000 + number * 20_000;
    let server = number.is_multiple_of(server_every);
    let route = format!("/v1/models/{interface:04}/infer");
    let mut attributes = vec![
        attribute("http.request.method", text("POST")),
        attribute("http.route", text(&route)),
        attribute("http.response.status_code", Value::IntValue(200)),
        attribute("url.scheme", text("https")),
        attribute("gen_ai.usage.input_tokens", Value::IntValue(rng.random_range(10..4000))),
        attribute("gen_ai.usage.output_tokens", Value::IntValue(rng.random_range(10..900))),
    ];
    let mut made = Span {
        trace_id: rng.random::<[u8; 16]>().to_vec(),
        span_id: rng.random::<[u8; 8]>().to_vec(),
        parent_span_id: rng.random::<[u8; 8]>().to_vec(),
        name: format!("POST {route}"),
        kind: if server { SpanKind::Server } else { SpanKind::Internal } as i32,
        start_time_unix_nano: end - rng.random_range(1_000_000..3_000_000_000),
        end_time_unix_nano: end,
        ..Span::default()
    };
    // The last attribute fills what is left of the size, as a user agent does: its frame takes 27 bytes, the span's 3.
    let used = Span { attributes: attributes.clone(), ..made.clone() }.encoded_len();
    attributes.push(attribute("user_agent.original", text(&"a".repeat(SPAN_BYTES.saturating_sub(used + 30)))));
    made.attributes = attributes;
    made
}

/// Requests as they lie on the bus, each of one tenant and service.
fn requests(spans: u64, server_every: u64) -> Vec<Vec<u8>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let text = |text: String| Value::StringValue(text);
    let request = |number: u64| {
        let tenant = number % TENANTS;
        let attributes = vec![
            attribute("weir.tenant", text(format!("tenant-{tenant}"))),
            attribute("service.name", text(format!("service-{}", tenant % 7))),
        ];
        let interface = |rng: &mut Xoshiro256PlusPlus| tenant + TENANTS * rng.random_range(0..INTERFACES / TENANTS);
        let spans = (0..SPANS).map(|at| {
            let interface = interface(&mut rng);
            span(&mut rng, number * SPANS + at, interface, server_every)
        });
        let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    };
    (0..spans / SPANS).map(request).collect()
}

fn count(smoke: bool) -> u64 {
    if smoke { 20_000 } else { 2_000_000 }
}

/// From protobuf to the bytes of ranges: 327-byte spans, 500 a request, a quarter SERVER, 1,000 interfaces, 50 tenants.
pub(crate) fn fold(smoke: bool) -> anyhow::Result<Ready> {
    fold_of(smoke, A_QUARTER)
}

/// The same where every span is SERVER.
pub(crate) fn fold_all_server(smoke: bool) -> anyhow::Result<Ready> {
    fold_of(smoke, ALL)
}

#[allow(clippy::unnecessary_wraps, reason = "what makes a case")]
fn fold_of(smoke: bool, server_every: u64) -> anyhow::Result<Ready> {
    let spans = count(smoke);
    let requests = requests(spans, server_every);
    let mut fold = Fold::new(INTERFACES as usize, Seen::new(600_000_000_000, 2_000_000));
    Ok(Box::new(move || {
        let (mut bytes, mut counted, mut written, mut first) = (0, 0, 0, 0);
        for (offset, request) in (0_i64..).zip(&requests) {
            bytes += request.len() as u64;
            fold.add(request, (START + 3600) * 1_000_000_000)?;
            if fold.bytes() > RANGE_BYTES || offset + 1 == requests.len() as i64 {
                let range = fold.finish("otlp_spans", 0, first, offset + 1);
                counted += range.counted;
                written += range.encode_to_vec().len();
                first = offset + 1;
            }
        }
        let calls = spans / server_every;
        anyhow::ensure!(counted == calls, "{counted} calls of {calls} were counted");
        let more = [("delta_bytes_a_call".to_owned(), serde_json::json!(written as f64 / counted as f64))];
        Ok(Work { records: spans, bytes, more: more.into_iter().collect() })
    }))
}

/// Reads kinds and ends of the same spans, and skips the rest.
pub(crate) fn floor(smoke: bool) -> anyhow::Result<Ready> {
    floor_of(smoke, A_QUARTER)
}

/// The same where every span is SERVER.
pub(crate) fn floor_all_server(smoke: bool) -> anyhow::Result<Ready> {
    floor_of(smoke, ALL)
}

#[allow(clippy::unnecessary_wraps, reason = "what makes a case")]
fn floor_of(smoke: bool, server_every: u64) -> anyhow::Result<Ready> {
    let spans = count(smoke);
    let requests = requests(spans, server_every);
    Ok(Box::new(move || {
        let (mut bytes, mut seen, mut calls, mut last) = (0, 0, 0_u64, 0);
        for request in &requests {
            bytes += request.len() as u64;
            each(request, 1, |resource| {
                each(resource, 2, |scope| {
                    each(scope, 2, |span| {
                        seen += 1;
                        let (kind, end) = kind_and_end(span);
                        calls += u64::from(kind == SpanKind::Server as u64);
                        last = last.max(end);
                    });
                });
            });
        }
        anyhow::ensure!(seen == spans && calls == spans / server_every && last > 0, "{seen} spans, {calls} calls");
        Ok(Work { records: spans, bytes, more: serde_json::Map::new() })
    }))
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return value;
        }
    }
    *bytes = &[];
    value
}

/// The next field's number, its number value, and its bytes.
fn field<'a>(bytes: &mut &'a [u8]) -> (u64, u64, &'a [u8]) {
    let tag = varint(bytes);
    let (number, length) = match tag & 7 {
        0 => (varint(bytes), 0),
        1 => (bytes.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight)), 8),
        2 => (0, varint(bytes) as usize),
        _ => (0, 4),
    };
    let (own, rest) = bytes.split_at(length.min(bytes.len()));
    *bytes = rest;
    (tag >> 3, number, own)
}

fn each(mut bytes: &[u8], wanted: u64, mut take: impl FnMut(&[u8])) {
    while !bytes.is_empty() {
        let (number, _, own) = field(&mut bytes);
        if number == wanted {
            take(own);
        }
    }
}

fn kind_and_end(mut bytes: &[u8]) -> (u64, u64) {
    let (mut kind, mut end) = (0, 0);
    while !bytes.is_empty() {
        match field(&mut bytes) {
            (6, value, _) => kind = value,
            (8, value, _) => end = value,
            _ => {}
        }
    }
    (kind, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_the_size_that_the_case_names() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        for number in 0..100 {
            let length = span(&mut rng, number, number * 10, A_QUARTER).encoded_len() + 3;
            assert!(length.abs_diff(SPAN_BYTES) <= 3, "{length}");
        }
    }
}
