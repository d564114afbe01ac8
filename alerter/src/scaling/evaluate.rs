//! Evaluates a caller's query over what its tenants see, at the event time up to which everything is here.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use weir_service::auth::Tenants;

use super::answer::{Answer, Unanswered, evaluation_time, one};
use crate::api::Sight;
use crate::promql::Query;
use crate::series::progress::Presence;
use crate::series::read::{Matcher, Read, Series};

/// Queries that run at once; others wait.
const QUERIES: usize = 4;
/// A query that takes longer, its wait included, is answered with an error.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Answers queries; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Evaluator {
    sight: Sight,
    late_after: Duration,
    permits: Arc<Semaphore>,
}

impl Evaluator {
    pub(super) fn new(sight: Sight, late_after: Duration) -> Self {
        Self { sight, late_after, permits: Arc::new(Semaphore::new(QUERIES)) }
    }

    /// One whose queries do not wait for this one's.
    pub(super) fn apart(&self) -> Self {
        Self { permits: Arc::new(Semaphore::new(QUERIES)), ..self.clone() }
    }

    /// The event time that a query would be evaluated at now, in unix milliseconds.
    pub(super) fn time_ms(&self) -> Result<i64, Unanswered> {
        let now = weir_service::time::now_unix_nano_unsigned();
        let collectors = self.sight.collectors();
        // Event time goes on without those that are absent: where all are, nobody calls as far as is known, which is not 0.
        if !collectors.is_empty() && collectors.iter().all(|one| one.state == Presence::Absent) {
            return Err(Unanswered::Unknown);
        }
        evaluation_time(self.sight.watermark(), now, self.late_after)
    }

    /// The value of a query over series that satisfy these matchers, besides the query's own.
    pub(super) async fn value(
        &self,
        query: &Query,
        matchers: &[Matcher],
        tenants: &Tenants,
    ) -> Result<Answer, Unanswered> {
        let time_ms = self.time_ms()?;
        let (query, matchers, tenants) = (query.clone(), matchers.to_vec(), tenants.clone());
        let sight = self.sight.clone();
        let work = async {
            let permit = self.permits.clone().acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let _held = permit;
                let view = sight.of(&tenants);
                query.at(&Narrowed { read: &view, matchers: &matchers }, time_ms).map(|value| (query, value))
            })
            .await
        };
        let done = tokio::time::timeout(TIMEOUT, work).await.map_err(|_| Unanswered::Slow(TIMEOUT))?;
        // It ends without an answer only where the program does.
        let (query, value) = done.map_err(|_| Unanswered::Unknown)??;
        one(query.text(), value, time_ms)
    }
}

/// Series that satisfy more matchers than are asked for.
struct Narrowed<'a> {
    read: &'a dyn Read,
    matchers: &'a [Matcher],
}

impl Read for Narrowed<'_> {
    fn each(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, take: &mut dyn FnMut(Series) -> ControlFlow<()>) {
        if self.matchers.is_empty() {
            return self.read.each(matchers, start_ms, end_ms, take);
        }
        self.read.each(&[matchers, self.matchers].concat(), start_ms, end_ms, take);
    }
}
