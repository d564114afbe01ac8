//! Compression of answers for clients that accept it.
//!
//! Text alone is compressed: not streams of events, whose every event is awaited, and not what may be read in ranges.

use http::{Extensions, HeaderMap, StatusCode, Version, header};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate as _, SizeAbove};

/// Answers of fewer bytes are sent as they are.
const LEAST: u64 = 1024;

/// What decides by the head of an answer.
type IsText = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

pub(super) fn layer() -> CompressionLayer<And<SizeAbove, IsText>> {
    let is_text: IsText = |_, _, headers, _| is_text(headers);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(LEAST).and(is_text))
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_text = match kind.strip_prefix("text/") {
        Some(text) => text != "event-stream",
        None => kind == "application/json" || kind == "application/x-ndjson" || kind.ends_with("+json"),
    };
    is_text && !headers.contains_key(header::ACCEPT_RANGES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compressed_but_for_events_and_what_is_read_in_ranges() {
        for (kind, ranges, right) in [
            ("application/json", false, true),
            ("application/json; charset=utf-8", false, true),
            ("application/problem+json", false, true),
            ("application/x-ndjson", false, true),
            ("text/csv", false, true),
            ("text/event-stream", false, false),
            ("application/x-ndjson", true, false),
            ("application/grpc", false, false),
            ("application/octet-stream", false, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            if ranges {
                headers.insert(header::ACCEPT_RANGES, "bytes".parse().unwrap());
            }
            assert_eq!(is_text(&headers), right, "{kind} {ranges}");
        }
    }
}
