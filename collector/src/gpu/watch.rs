//! Whether the driver comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::metrics::{Gauge, Meter};
use parking_lot::Mutex;

/// A call of the driver, or one pass over all GPUs, that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who calls the driver.
#[derive(Debug, Clone, Copy)]
pub(super) enum Thread {
    Measure,
    Events,
}

/// Sees how long the threads are in the driver; cheap to clone.
#[derive(Debug, Clone)]
pub struct Watch {
    since: Arc<Mutex<[Option<Instant>; 2]>>,
    hung: Gauge<u64>,
    patience: Duration,
}

impl Watch {
    /// Nobody is in the driver yet.
    pub fn new(meter: &Meter) -> Self {
        let hung = meter
            .u64_gauge("weir_collector_gpu_hung")
            .with_description("1 while a call of the GPU driver does not come back")
            .build();
        Self { since: Arc::default(), hung, patience: PATIENCE }
    }

    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// This thread goes into the driver, or comes back.
    pub(super) fn busy(&self, thread: Thread, busy: bool) {
        self.since.lock()[thread as usize] = busy.then(Instant::now);
    }

    /// A call does not come back.
    pub(super) fn is_hung(&self) -> bool {
        self.since.lock().iter().flatten().any(|since| since.elapsed() >= self.patience)
    }

    /// Looks every second, and says once when a call hangs and when it has come back.
    pub(super) async fn run(&self) {
        let mut hung = false;
        self.hung.record(0, &[]);
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.is_hung();
            if now != hung {
                hung = now;
                self.hung.record(u64::from(now), &[]);
                if now {
                    tracing::warn!("the GPU driver hangs: GPUs are not measured until it comes back");
                } else {
                    tracing::info!("the GPU driver came back: GPUs are measured again");
                }
            }
        }
    }
}
