//! Graceful stop: the first SIGTERM or SIGINT asks, the second one or the deadline insists.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

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
            for token in [asked, forced] {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                tracing::info!(signal = name, "stopping");
                token.cancel();
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
