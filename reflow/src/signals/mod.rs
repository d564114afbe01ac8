//! What captures are steered by: durations of calls, and alerts, followed on the bus as long as a capture asks for them.

mod durations;
mod follow;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use weir_calls::alerts::{Alerts, State};

use self::durations::Recent;
pub(crate) use self::follow::Follow;
use crate::capture::Signals;

/// What is known; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    durations: Arc<Mutex<Recent>>,
    alerts: Arc<RwLock<Alerts>>,
}

impl Signals for Live {
    fn quantile(&self, tenant: &str, service: &str, interface: &str, q: f64) -> Option<u64> {
        self.durations.lock().quantile(tenant, service, interface, q, tokio::time::Instant::now())
    }

    fn firing(&self, alert: &str, tenant: &str, at: i64) -> State {
        self.alerts.read().firing(alert, Some(tenant), at, Duration::ZERO)
    }

    fn evaluated_until(&self) -> Option<i64> {
        self.alerts.read().evaluated_until()
    }
}
