use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Makes `span`, which was not entered yet, a child of the caller's, where the request names it (W3C `traceparent` and
/// `tracestate`). A caller that does not record its trace is not recorded here either.
pub fn continue_trace(span: &tracing::Span, headers: &HeaderMap) {
    let caller = TraceContextPropagator::new().extract(&Headers(headers));
    if caller.span().span_context().is_valid() {
        // An error says that spans go nowhere.
        let _ = span.set_parent(caller);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().extend(spans);
            Ok(())
        }
    }

    /// What is exported of a span that was opened for a request with this header.
    fn exported(traceparent: &str) -> Vec<SpanData> {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", traceparent.parse().unwrap());
            let span = tracing::info_span!("request");
            continue_trace(&span, &headers);
            span.in_scope(|| {});
        });
        kept.0.lock().clone()
    }

    #[test]
    fn the_callers_trace_goes_on() {
        let spans = exported("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(spans[0].span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(spans[0].parent_span_id.to_string(), "00f067aa0ba902b7");
    }

    #[test]
    fn a_trace_that_its_caller_does_not_record_is_not_recorded() {
        assert!(exported("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").is_empty());
    }

    #[test]
    fn nonsense_begins_a_trace_of_its_own() {
        for text in ["", "00-0-0-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "x"] {
            let spans = exported(text);
            assert!(spans[0].span_context.is_valid() && !spans[0].parent_span_is_remote, "{text}");
        }
    }
}
