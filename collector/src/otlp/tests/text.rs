//! Text that is no text: it arrives with U+FFFD, and so does all that was sent with it.

use bytes::Bytes;
use prost::Message as _;
use weir_service::auth::Auth;

use super::json::full;
use super::server::start;
use super::*;
use crate::decode::otlp_json;
use crate::options::TenantOptions;
use crate::otlp::wire::put_bytes;
use crate::otlp::{Malformed, Signal, Sizes, SplitError, Tenants, repair, split};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// A request with every field set, in JSON, and what is to be found of its texts where each holds `within`.
fn with_texts(signal: Signal, pick: usize, within: &str) -> Vec<u8> {
    let texts = regex::Regex::new(r#"([A-Za-z])-(\d+)""#).unwrap();
    let json = full(signal.request(), pick, 0).to_string();
    let json = texts.replace_all(&json, format!("${{1}}{within}${{2}}\"")).into_owned();
    otlp_json::read(signal, json.as_bytes()).unwrap().protobuf
}

/// The same bytes with a byte that UTF-8 never has in the place of each last one of this character.
fn damaged(request: &[u8], character: char) -> Vec<u8> {
    let mut bytes = request.to_vec();
    let text = character.to_string();
    let places = memchr::memmem::find_iter(request, text.as_bytes());
    places.for_each(|at| bytes[at + text.len() - 1] = 0xFF);
    bytes
}

#[test]
fn every_text_of_every_message_is_repaired_and_nothing_else() {
    for (signal, pick) in Signal::ALL.into_iter().flat_map(|signal| (0..7).map(move |pick| (signal, pick))) {
        let sound = with_texts(signal, pick, "\u{10ffff}");
        assert_eq!(repair::strings(signal.request(), &sound, 0).unwrap(), None);
        let damaged = damaged(&sound, '\u{10ffff}');
        let tenants = Tenants::new(&TenantOptions::default(), Auth::off());
        let split = split(signal, &Bytes::from(damaged.clone()), &tenants, Sizes { batch: 1 << 20, alone: 1 << 20 });
        assert!(matches!(split, Err(SplitError::Malformed(Malformed::Utf8 { .. }))), "{split:?}");
        // The first three bytes are one character that is cut, the last is another.
        let expected = with_texts(signal, pick, "\u{fffd}\u{fffd}");
        assert_eq!(repair::strings(signal.request(), &damaged, 0).unwrap(), Some(expected), "{signal:?} {pick}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_bytes_are_repaired_have_no_bad_text_left(
        changes in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), 128_u8..), 1..6),
        pick in 0_usize..7,
    ) {
        for signal in Signal::ALL {
            let mut bytes = with_texts(signal, pick, "\u{10ffff}");
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Ok(Some(repaired)) = repair::strings(signal.request(), &bytes, 0) {
                proptest::prop_assert!(repaired.len() <= 3 * bytes.len());
                proptest::prop_assert_eq!(repair::strings(signal.request(), &repaired, 0).unwrap(), None);
            }
        }
    }
}

#[test]
fn what_is_no_protobuf_is_not_repaired() {
    let request = logs(vec![(&[], vec![line("\u{10ffff}")])]).encode_to_vec();
    let damaged = damaged(&request, '\u{10ffff}');
    let cut = &damaged[..damaged.len() - 1];
    assert!(repair::strings(Signal::Logs.request(), cut, 0).is_err());
    let nest = |content: Vec<u8>, number| {
        let mut out = Vec::new();
        put_bytes(&mut out, number, &content);
        out
    };
    // A text in lists of lists, as the body of a record.
    let numbers = [1].into_iter().chain([1, 5].repeat(100)).chain([5, 2, 2, 1]);
    let deep = numbers.fold(b"\xFF".to_vec(), nest);
    assert!(matches!(repair::strings(Signal::Logs.request(), &deep, 0), Err(Malformed::Deep)));
}

#[tokio::test]
async fn one_bad_text_in_json_costs_neither_its_record_nor_its_neighbours() {
    for (text, expected) in [
        (r#""cut \ud83d""#.as_bytes(), "cut \u{fffd}"),
        (br#""\ude00 cut""#, "\u{fffd} cut"),
        (b"\"a\xFFb\"", "a\u{fffd}b"),
        (b"\"a\tb\"", "a\tb"),
        (br#""\x""#, r"\x"),
    ] {
        let rig = start().await;
        let record = |body: &[u8]| [br#"{"body": {"stringValue": "#.as_slice(), body, b"}}"].concat();
        let records = [record(br#""good""#), record(text)].join(&b','.to_owned());
        let json = [br#"{"resourceLogs": [{"scopeLogs": [{"logRecords": ["#.as_slice(), &records, b"]}]}]}"].concat();
        let answer = rig.post("/v1/logs", &[("content-type", JSON)], &json).await;
        assert_eq!((answer.status, answer.body.as_ref()), (200, b"{}".as_slice()), "{expected}");
        assert_eq!(rig.logs().await.iter().flat_map(bodies).collect::<Vec<_>>(), ["good", expected]);
        let answer = rig.post("/v1/logs", &[("content-type", JSON)], &json[..json.len() - 1]).await;
        assert_eq!(answer.status, 400, "what is no JSON is refused all the same");
    }
}

#[tokio::test]
async fn one_bad_text_of_ten_spans_costs_none_of_them_over_either_protocol() {
    let rig = start().await;
    let span = |n: u8| span(if n == 3 { "GET \u{10ffff}" } else { "GET /" }, vec![n; 16], vec![n; 8]);
    let request = damaged(&spans((1..=10).map(span).collect()).encode_to_vec(), '\u{10ffff}');
    let answer = rig.post("/v1/traces", &[("content-type", PROTOBUF)], &request).await;
    assert_eq!((answer.status, answer.body.as_ref()), (200, b"".as_slice()));
    rig.call(Signal::Traces.grpc_path(), None, request).await.unwrap();
    let messages = rig.messages(Signal::Traces).await;
    assert_eq!(messages.len(), 2);
    for message in messages {
        let read = ExportTraceServiceRequest::decode(message.value).unwrap();
        let names: Vec<_> = read.resource_spans[0].scope_spans[0].spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!((names.len(), names[2]), (10, "GET \u{fffd}\u{fffd}"));
    }
}
