//! The live tail: server-sent events, straight off the bus.
//!
//! Each `data:` is one hit as in a search. A reader that is too slow is told how many batches of lines it missed, as an
//! event `missed`, and goes on with the newest: nobody waits for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use weir_query::line::Line;
use weir_service::auth::Tenants;
use weir_service::http::Problem;

use super::params::Params;
use super::{Api, hit::hit};

/// Memory of a batch that takes one place of what followers may be behind; one that is larger takes more places.
const PLACE_BYTES: usize = 2 << 20;

/// Lines as they are read off the bus, in batches of one source; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Live(broadcast::Sender<Arc<Vec<Line>>>);

impl Live {
    /// For followers that may be so many batches behind, of about [`PLACE_BYTES`], before they miss some.
    pub(crate) fn new(batches: usize) -> Self {
        Self(broadcast::Sender::new(batches))
    }

    /// Shows a batch to whoever follows.
    pub(crate) fn send(&self, lines: Arc<Vec<Line>>) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let bytes: usize = lines.iter().map(Line::memory).sum();
        // An error says that nobody follows.
        let _ = self.0.send(lines);
        // Batches of no lines, which followers pass over, push older ones out.
        for _ in 0..bytes / PLACE_BYTES {
            let _ = self.0.send(Arc::default());
        }
    }

    /// Batches of these tenants from now on; there is no other way to follow.
    pub(crate) fn follow(
        &self,
        tenants: Tenants,
    ) -> impl Stream<Item = Result<Arc<Vec<Line>>, BroadcastStreamRecvError>> + use<> {
        BroadcastStream::new(self.0.subscribe()).filter(move |batch| {
            let source = batch.as_ref().ok().map(|lines| lines.first().map(|line| &line.source));
            let is_seen = source.is_none_or(|of| of.is_some_and(|source| tenants.allows(Some(&source.tenant))));
            std::future::ready(is_seen)
        })
    }
}

pub(super) async fn tail(
    State(api): State<Api>,
    tenants: Tenants,
    params: Params,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let (matcher, ..) = params.query()?;
    let matcher = Arc::new(matcher);
    let events = api.live.follow(tenants).flat_map(move |batch| match batch {
        Ok(lines) => {
            let matcher = matcher.clone();
            // One at a time, as the reader takes them: a slow one holds no more than the batch that all share.
            let events = (0..lines.len()).filter_map(move |at| {
                let line = lines.get(at).filter(|line| matcher.matches(line))?;
                Some(Ok(Event::default().data(hit(line).to_string())))
            });
            stream::iter(events).left_stream()
        }
        Err(BroadcastStreamRecvError::Lagged(batches)) => {
            let missed = Event::default().event("missed").data(format!("{{\"batches\":{batches}}}"));
            stream::iter([Ok(missed)]).right_stream()
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::everything;
    use weir_query::line::{Body, LineId};

    fn line(body: String) -> Line {
        Line {
            id: LineId { partition: 0, offset: 0, index: 0 },
            time: 0,
            severity: 0,
            severity_text: String::new(),
            body: Body::Text(body),
            trace_id: bytes::Bytes::new(),
            span_id: bytes::Bytes::new(),
            attributes: Vec::new(),
            source: Arc::default(),
            span: None,
        }
    }

    #[tokio::test]
    async fn a_slow_follower_holds_few_large_batches() {
        let live = Live::new(32);
        let follower = live.follow(everything());
        let large = Arc::new(vec![line("x".repeat(16 << 20))]);
        for _ in 0..10 {
            live.send(large.clone());
        }
        assert!(Arc::strong_count(&large) <= 1 + 32 / 8, "{}", Arc::strong_count(&large));
        let seen: Vec<_> = follower.take(2).collect().await;
        assert!(matches!(seen[0], Err(BroadcastStreamRecvError::Lagged(_))));
        assert_eq!(seen[1].as_ref().unwrap().len(), 1, "and goes on with the newest");
    }
}
