//! The live tail: server-sent events, straight off the bus.
//!
//! Each `data:` is one hit as in a search. A reader that is too slow goes on with the newest lines, since nobody waits for
//! it, and is told how many lines of its tenants it missed, whether they match or not: event `missed`, `{"lines":N}`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use weir_query::line::Line;
use weir_service::auth::Tenants;
use weir_service::http::Problem;

use super::params::Params;
use super::{Api, hit::hit};

/// Memory of a batch that takes one place of what followers may be behind; one that is larger takes more places.
const PLACE_BYTES: usize = 2 << 20;

/// Most tenants whose lines are counted for followers; of others it is not known how many were missed.
const MAX_TENANTS: usize = 10_000;

/// Lines as they are read off the bus, in batches of one source; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    batches: broadcast::Sender<Batch>,
    sent: Arc<Mutex<Sent>>,
}

/// Lines that were sent since somebody follows, by tenant.
type Sent = HashMap<String, u64>;

/// Lines of one source.
#[derive(Debug, Clone, Default)]
struct Batch {
    lines: Arc<Vec<Line>>,
    /// Lines of the same tenant that were sent before.
    before: u64,
}

/// What a follower gets.
#[derive(Debug)]
pub(crate) enum Seen {
    /// Lines of one source.
    Lines(Arc<Vec<Line>>),
    /// So many lines of its tenants passed while it was too slow.
    Missed(u64),
}

impl Live {
    /// For followers that may be so many batches behind, of about [`PLACE_BYTES`], before they miss some.
    pub(crate) fn new(batches: usize) -> Self {
        Self { batches: broadcast::Sender::new(batches), sent: Arc::default() }
    }

    /// Shows a batch to whoever follows.
    pub(crate) fn send(&self, lines: Arc<Vec<Line>>) {
        let mut sent = self.sent.lock();
        if self.batches.receiver_count() == 0 {
            sent.clear();
            return;
        }
        let Some(first) = lines.first() else { return };
        let tenant = &first.source.tenant;
        if !sent.contains_key(tenant) && sent.len() < MAX_TENANTS {
            sent.insert(tenant.clone(), 0);
        }
        let before = sent.get_mut(tenant).map_or(0, |sent| {
            *sent += lines.len() as u64;
            *sent - lines.len() as u64
        });
        let bytes: usize = lines.iter().map(Line::memory).sum();
        // An error says that nobody follows.
        let _ = self.batches.send(Batch { lines, before });
        // Batches of no lines, which followers pass over, push older ones out.
        for _ in 0..bytes / PLACE_BYTES {
            let _ = self.batches.send(Batch::default());
        }
    }

    /// Lines of these tenants from now on; there is no other way to follow.
    pub(crate) fn follow(&self, tenants: Tenants) -> impl Stream<Item = Seen> + use<> {
        let sent = self.sent.lock();
        let mut expected: Sent = sent.clone();
        let batches = BroadcastStream::new(self.batches.subscribe());
        drop(sent);
        // What was missed is known from the next batch of the tenant.
        let seen = batches.map(move |batch| {
            let batch = batch.unwrap_or_default();
            let tenant = batch.lines.first().map(|line| &line.source.tenant);
            let Some(tenant) = tenant.filter(|tenant| tenants.allows(Some(tenant))) else { return [None, None] };
            let mut missed = 0;
            if let Some(expected) = expected.get_mut(tenant) {
                missed = batch.before.saturating_sub(*expected);
                *expected = batch.before + batch.lines.len() as u64;
            } else if expected.len() < MAX_TENANTS {
                // Nothing of it was sent before this follower came.
                missed = batch.before;
                expected.insert(tenant.clone(), batch.before + batch.lines.len() as u64);
            }
            [(missed > 0).then_some(Seen::Missed(missed)), Some(Seen::Lines(batch.lines))]
        });
        seen.flat_map(|seen| stream::iter(seen.into_iter().flatten()))
    }
}

pub(super) async fn tail(
    State(api): State<Api>,
    tenants: Tenants,
    params: Params,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let (matcher, ..) = params.query()?;
    let matcher = Arc::new(matcher);
    let events = api.live.follow(tenants).flat_map(move |seen| match seen {
        Seen::Lines(lines) => {
            let matcher = matcher.clone();
            // One at a time, as the reader takes them: a slow one holds no more than the batch that all share.
            let events = (0..lines.len()).filter_map(move |at| {
                let line = lines.get(at).filter(|line| matcher.matches(line))?;
                Some(Ok(Event::default().data(hit(line).to_string())))
            });
            stream::iter(events).left_stream()
        }
        Seen::Missed(lines) => {
            let missed = Event::default().event("missed").data(format!("{{\"lines\":{lines}}}"));
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
        let Seen::Missed(missed) = seen[0] else { panic!("{seen:?}") };
        assert!((5..10).contains(&missed), "{missed}");
        assert!(matches!(&seen[1], Seen::Lines(lines) if lines.len() == 1), "and goes on with the newest");
    }

    #[tokio::test]
    async fn a_slow_follower_is_told_how_many_lines_of_its_tenants_it_missed() {
        let live = Live::new(2);
        let of = |tenant: &str, lines: usize| {
            let source = Arc::new(weir_query::line::Source { tenant: tenant.into(), ..Default::default() });
            Arc::new((0..lines).map(|_| Line { source: source.clone(), ..line(String::new()) }).collect::<Vec<_>>())
        };
        let _other = live.follow(everything());
        live.send(of("acme", 5));
        let acme = everything().narrow(["acme"]).unwrap();
        let follower = live.follow(acme);
        for batch in [of("acme", 2), of("acme", 3), of("globex", 100), of("acme", 4), of("globex", 1)] {
            live.send(batch);
        }
        let seen: Vec<_> = follower.take(2).collect().await;
        assert!(matches!(seen[0], Seen::Missed(5)), "{seen:?}");
        assert!(matches!(&seen[1], Seen::Lines(lines) if lines.len() == 4));
    }
}
