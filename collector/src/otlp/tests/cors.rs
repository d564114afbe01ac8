//! A browser's questions, over loopback.

use super::server::{MAX_IN_FLIGHT, Rig, start, start_allowing};
use crate::otlp::CorsOptions;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn allowing(origins: &[&str]) -> Rig {
    let options: CorsOptions = serde_json::from_value(serde_json::json!({ "origins": origins })).unwrap();
    start_allowing(MAX_IN_FLIGHT, None, Some(options)).await
}

fn question(origin: &str) -> Vec<u8> {
    format!(
        "OPTIONS /v1/traces HTTP/1.1\r\nhost: weir\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\
         access-control-request-headers: authorization,content-type,traceparent\r\nconnection: close\r\n\r\n"
    )
    .into_bytes()
}

/// What a header says, if it is there.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_send_and_another_may_not() {
    let rig = allowing(&["https://shop.example", "http://localhost:3000"]).await;
    for (origin, allowed) in [
        ("https://shop.example", true),
        ("http://localhost:3000", true),
        ("http://shop.example", false),
        ("https://shop.example.evil", false),
        ("null", false),
    ] {
        let answer = rig.raw(&question(origin)).await;
        let expected = allowed.then_some(origin);
        assert_eq!((answer.status, header(&answer.head, "access-control-allow-origin")), (200, expected), "{origin}");
        if allowed {
            assert_eq!(header(&answer.head, "access-control-allow-methods"), Some("post"));
            let headers = header(&answer.head, "access-control-allow-headers");
            assert_eq!(headers, Some("authorization,content-type,traceparent"));
            assert_eq!(header(&answer.head, "access-control-max-age"), Some("7200"));
            assert_eq!(header(&answer.head, "vary"), Some("origin"));
        }
        // Those that are refused say so to the page, too.
        for (body, status) in [(r#"{"resourceSpans":[]}"#, 200), ("{", 400)] {
            let answer = rig.post("/v1/traces", &[JSON, ("origin", origin)], body.as_bytes()).await;
            assert_eq!((answer.status, header(&answer.head, "access-control-allow-origin")), (status, expected));
            assert_eq!(header(&answer.head, "vary"), Some("origin"));
        }
    }
}

#[tokio::test]
async fn every_page_may_send_where_every_origin_is_allowed() {
    let rig = allowing(&["https://shop.example", "*"]).await;
    let answer = rig.raw(&question("https://any.example")).await;
    assert_eq!((answer.status, header(&answer.head, "access-control-allow-origin")), (200, Some("*")));
}

#[tokio::test]
async fn without_the_option_browsers_are_told_nothing() {
    let rig = start().await;
    let asked = rig.raw(&question("https://shop.example")).await;
    let sent = rig.post("/v1/traces", &[JSON, ("origin", "https://shop.example")], br#"{"resourceSpans":[]}"#).await;
    assert_eq!((asked.status, sent.status), (405, 200));
    for head in [asked.head, sent.head] {
        assert!(!head.contains("access-control") && header(&head, "vary").is_none(), "{head}");
    }
}
