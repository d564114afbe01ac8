//! The live tail: server-sent events, straight off the bus.
//!
//! Each `data:` is one hit as in a search. A reader that is too slow is told how many batches of lines it missed, as an
//! event `missed`, and goes on with the newest: nobody waits for it.

use std::convert::Infallible;
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
    let events = BroadcastStream::new(api.live.subscribe()).flat_map(move |batch| {
        let events: Vec<_> = match batch {
            Ok(lines) => {
                let matching = lines.iter().filter(|line| matcher.matches(line));
                matching.map(|line| Ok(Event::default().data(hit(line).to_string()))).collect()
            }
            Err(BroadcastStreamRecvError::Lagged(batches)) => {
                vec![Ok(Event::default().event("missed").data(format!("{{\"batches\":{batches}}}")))]
            }
        };
        stream::iter(events)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))))
}
