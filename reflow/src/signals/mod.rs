//! What captures are steered by: durations of calls, and alerts, followed on the bus as long as a capture asks for them.

mod durations;
mod follow;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use prost::Message as _;
use weir_bus::Message;
use weir_calls::alerts::{Alerts, State};
use weir_proto::{topic, v1};
use weir_service::telemetry::whole;

use self::durations::Recent;
pub(crate) use self::follow::{CALLS_BACK, Follow};
use crate::capture::Signals;

/// What is known; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    durations: Arc<Mutex<Recent>>,
    alerts: Arc<RwLock<Alerts>>,
}

impl Live {
    /// Takes a record of `weir_calls` or `weir_alerts`.
    pub(crate) fn apply(&self, topic: &str, message: &Message) {
        if topic == topic::CALLS {
            let now = u64::try_from(weir_service::time::now_unix_nano() / 1_000_000_000).unwrap_or(0);
            if let Ok(range) = v1::CallDeltas::decode(&message.value[..]) {
                self.durations.lock().add(&range, now);
            }
            return;
        }
        let key = message.key.as_deref().unwrap_or_default();
        if let Err(error) = self.alerts.write().apply(key, &message.value) {
            tracing::warn!(error = %whole(&error), "the state of an alert cannot be read");
        }
    }
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
