//! Graceful stop: the first SIGTERM or SIGINT asks, the second one or the deadline insists. The same signal again within
//! a second is the first one, sent to the process and to its group, as `timeout` does.

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A signal that comes twice within this time was sent once.
const ONCE: Duration = Duration::from_secs(1);

/// What the signals of this process say; cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Stop taking in, drain, commit, return.
    pub asked: CancellationToken,
    /// End at once: a second signal came, or the deadline after the first request has passed.
    pub forced: CancellationToken,
}

impl Shutdown {
    /// Listens for signals; must be called within a tokio runtime.
    pub fn listen(deadline: Duration) -> std::io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::without_signals(deadline);
        let Self { asked, forced } = shutdown.clone();
        tokio::spawn(async move {
            let mut first: Option<(&str, Instant)> = None;
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                let now = Instant::now();
                match first {
                    None => {
                        tracing::info!(signal = name, "stopping");
                        asked.cancel();
                        first = Some((name, now));
                    }
                    Some((before, at)) if before == name && now - at < ONCE => {}
                    Some(_) => {
                        tracing::info!(signal = name, "stopping at once");
                        return forced.cancel();
                    }
                }
            }
        });
        Ok(shutdown)
    }

    /// The same without signals: whoever holds it asks.
    pub fn without_signals(deadline: Duration) -> Self {
        let shutdown = Self { asked: CancellationToken::new(), forced: CancellationToken::new() };
        let Self { asked, forced } = shutdown.clone();
        tokio::spawn(async move {
            asked.cancelled().await;
            tokio::time::sleep(deadline).await;
            forced.cancel();
        });
        shutdown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_deadline_insists_after_it_was_asked() {
        let shutdown = Shutdown::without_signals(Duration::from_millis(10));
        assert!(!shutdown.forced.is_cancelled());
        shutdown.asked.cancel();
        shutdown.forced.cancelled().await;
    }
}
