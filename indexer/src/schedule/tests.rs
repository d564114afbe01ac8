use std::sync::mpsc;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use weir_service::config::{Size, Span};

use super::*;
use crate::store::everything;

fn scheduler(limits: &Search) -> Scheduler {
    Scheduler::new(limits, &opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test"))
}

fn caller(who: u8) -> Caller {
    Caller { tenants: everything(), who: Who::Credential([who; 32]) }
}

impl Scheduler {
    async fn run<T: Send + 'static>(
        &self,
        caller: &Caller,
        work: impl FnOnce(&Budget) -> Result<T, Limit> + Send + 'static,
    ) -> Result<T, Problem> {
        self.place(caller)?.run(work).await
    }
}

/// Works for ever, until a limit says no.
fn work(budget: &Budget) -> Result<(), Limit> {
    loop {
        budget.check()?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn given_a_client_that_leaves_then_its_search_ends_and_the_next_has_its_turn() {
    let searches = scheduler(&Search { at_once: Some(1), ..Search::default() });
    let (ended, end) = mpsc::channel();
    let caller = caller(1);
    let run = searches.run(&caller, move |budget| {
        let done = work(budget);
        ended.send(done).unwrap();
        done
    });
    assert!(tokio::time::timeout(Duration::from_millis(50), run).await.is_err(), "it works for ever");
    let done = tokio::task::spawn_blocking(move || end.recv_timeout(Duration::from_secs(5)));
    assert_eq!(done.await.unwrap(), Ok(Err(Limit::Cancelled)));
    assert!(matches!(searches.run(&caller, |_| Ok::<_, Limit>(7)).await, Ok(7)));
}

#[tokio::test]
async fn given_heavy_searches_on_every_turn_then_a_light_one_is_answered_beside_them() {
    let searches = scheduler(&Search { at_once: Some(1), ..Search::default() });
    let heavy: Vec<_> = (0..5)
        .map(|_| {
            let searches = searches.clone();
            tokio::spawn(async move { searches.run(&caller(1), work).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(searches.run(&caller(2), |_| Ok::<_, Limit>(7)).await, Ok(7)));
    assert!(heavy.iter().all(|search| !search.is_finished()));
    heavy.iter().for_each(tokio::task::JoinHandle::abort);
    let empty = async {
        while searches.0.state.lock().taken > 0 || !searches.0.state.lock().waiting.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), empty).await.unwrap();
}

#[tokio::test]
async fn given_a_search_beyond_a_limit_then_the_problem_names_it() {
    let limits = Search {
        time: Span(Duration::from_millis(100)),
        memory: Size(1000),
        bytes: Size(2000),
        at_once: Some(1),
        ..Search::default()
    };
    let searches = scheduler(&limits);
    let told = async |work: fn(&Budget) -> Result<(), Limit>| {
        let problem = searches.run(&caller(1), work).await.unwrap_err();
        (problem.status, problem.detail)
    };
    for (found, status, named) in [
        (told(work).await, 504, "indexer.search.time"),
        (told(|budget| budget.hold(1001)).await, 422, "indexer.search.memory"),
        (told(|budget| budget.read(2001)).await, 422, "indexer.search.bytes"),
    ] {
        assert!(found.0 == status && found.1.contains(named), "{found:?}");
    }
    assert_eq!(searches.0.held.load(Ordering::Relaxed), 0, "what was held is given back");
    let panics = searches.run(&caller(1), |_| -> Result<(), Limit> { panic!("on purpose") }).await;
    assert_eq!(panics.unwrap_err().status, 500);
    assert!(matches!(searches.run(&caller(1), |_| Ok::<_, Limit>(7)).await, Ok(7)), "and so is the turn");
}

#[test]
fn given_as_many_requests_as_there_are_places_then_more_are_told_to_come_back_and_one_has_half() {
    let searches = scheduler(&Search { waiting: 4, ..Search::default() });
    let mine = [searches.place(&caller(1)).unwrap(), searches.place(&caller(1)).unwrap()];
    let refused = searches.place(&caller(1)).unwrap_err();
    assert_eq!((refused.status, refused.retry_after), (429, Some(1)));
    let others = [searches.place(&caller(2)).unwrap(), searches.place(&caller(3)).unwrap()];
    assert_eq!(searches.place(&caller(4)).unwrap_err().status, 429);
    drop((mine, others));
    assert!(searches.place(&caller(1)).is_ok() && searches.0.state.lock().places.is_empty());
}

#[test]
fn given_a_limit_that_was_met_within_the_index_then_the_answer_says_so() {
    let [found, told] = [Problem::from(crate::Error::Limit(Limit::Cancelled)), Problem::from(Limit::Cancelled)];
    assert_eq!((found.status, found.detail), (told.status, told.detail));
    assert_eq!(Problem::from(crate::Error::Chunk("torn")).status, 500);
}
