//! Any text as a query: refused with a place in the text, or compiled for the index and for lines, and asked of a log record and a span.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use weir_indexer::query::{exact, needs};
use weir_query::line::{Body, Line, LineId, OfSpan, Source};
use weir_query::{Matcher, hints, parse};

fuzz_target!(|text: &str| {
    let _ = hints(text);
    let Ok(query) = parse(text) else { return };
    let _ = (needs(&query), exact(&query));
    let Ok(matcher) = Matcher::new(&query, 1_800_000_000_000_000_000) else { return };
    let source =
        Source { tenant: "acme".to_owned(), service: "ocr".to_owned(), resource: Vec::new(), scope: Vec::new() };
    let record = Line {
        id: LineId { partition: 0, offset: 1, index: 2 },
        time: 1_800_000_000_000_000_000,
        severity: 9,
        severity_text: "INFO".to_owned(),
        body: Body::Text("connection reset by 对端 10.0.0.1:443".to_owned()),
        trace_id: vec![1; 16].into(),
        span_id: vec![2; 8].into(),
        attributes: Vec::new(),
        source: Arc::new(source),
        span: None,
    };
    let _ = matcher.matches(&record);
    let json = r#"{"level":"error","msg":"reset\nby peer","status":503,"user":{"id":[42,1.5,"a"]}}"#;
    let _ = matcher.matches(&Line { body: Body::Text(json.to_owned()), ..record.clone() });
    let of_span = OfSpan {
        name: "recognize".to_owned(),
        kind: 2,
        start: 1_800_000_000_000_000_000,
        end: 1_800_000_000_250_000_000,
        interface: "POST /v1/ocr".to_owned(),
        ..OfSpan::default()
    };
    let _ = matcher.matches(&Line { span: Some(Box::new(of_span)), ..record });
});
