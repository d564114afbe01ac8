//! The tasks of a room: they run until the shutdown, then drain.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Waits for `shutdown`, then until all tasks have ended, at most `drain`; `late` is what is logged where they have not.
/// None of them ends before the shutdown, unless it is broken: then all are told to stop, and its panic goes on here.
pub async fn run(mut tasks: JoinSet<()>, shutdown: CancellationToken, drain: Duration, late: &str) {
    let broken = tokio::select! {
        () = shutdown.cancelled() => None,
        Some(Err(error)) = tasks.join_next() => Some(error),
    };
    shutdown.cancel();
    let drained = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, drained).await.is_err() {
        tracing::warn!("{late}");
    }
    if let Some(error) = broken
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn given_a_shutdown_then_tasks_end_first_and_those_that_do_not_are_cut_off() {
        for (ends, drain) in [(true, Duration::from_mins(1)), (false, Duration::ZERO)] {
            let (shutdown, ended) = (CancellationToken::new(), CancellationToken::new());
            let mut tasks = JoinSet::new();
            let (stop, done) = (shutdown.clone(), ended.clone());
            tasks.spawn(async move {
                stop.cancelled().await;
                if ends {
                    done.cancel();
                } else {
                    std::future::pending::<()>().await;
                }
            });
            shutdown.cancel();
            run(tasks, shutdown, drain, "late").await;
            assert_eq!(ended.is_cancelled(), ends);
        }
    }

    #[tokio::test]
    #[should_panic(expected = "broken")]
    async fn given_a_task_that_panics_then_the_others_stop_and_the_panic_goes_on() {
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let stop = shutdown.clone();
        tasks.spawn(async move { stop.cancelled().await });
        tasks.spawn(async { panic!("broken") });
        run(tasks, shutdown, Duration::from_mins(1), "late").await;
    }
}
