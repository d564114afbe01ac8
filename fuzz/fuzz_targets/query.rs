//! Any text as a query: refused with a place in the text, or compiled twice and asked of a line.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use weir_indexer::line::{Body, Line, LineId, Source};
use weir_indexer::query::{Matcher, needs, parse};

fuzz_target!(|text: &str| {
    let Ok(query) = parse(text) else { return };
    let _ = needs(&query);
    let Ok(matcher) = Matcher::new(&query, 1_800_000_000_000_000_000) else { return };
    let source =
        Source { tenant: "acme".to_owned(), service: "ocr".to_owned(), resource: Vec::new(), scope: String::new() };
    let _ = matcher.matches(&Line {
        id: LineId { partition: 0, offset: 1, index: 2 },
        time: 1_800_000_000_000_000_000,
        severity: 9,
        severity_text: "INFO".to_owned(),
        body: Body::Text("connection reset by 对端 10.0.0.1:443".to_owned()),
        trace_id: vec![1; 16].into(),
        span_id: vec![2; 8].into(),
        attributes: Vec::new(),
        source: Arc::new(source),
    });
});
