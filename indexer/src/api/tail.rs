//! The live tail: server-sent events, straight off the bus.
//!
//! Each `data:` is one hit as in a search. A reader that is too slow is told how many batches of lines it missed, as an
//! event `missed`, and goes on with the newest: nobody waits for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use weir_service::http::Problem;

use super::params::Params;
use super::{Api, hit::hit};

pub(super) async fn tail(
    State(api): State<Api>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let (matcher, _) = Params::new(pairs, &["query"])?.query()?;
    let matcher = Arc::new(matcher);
    let events = BroadcastStream::new(api.live.subscribe()).flat_map(move |batch| match batch {
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
