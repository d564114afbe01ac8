use std::sync::Arc;

use tokio::sync::watch;

/// Whether the bus is there to take anything. While it is closed, exports go to the spool, or their senders are told to
/// try again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(super) fn opened() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }

    /// The bus takes records, or does not.
    pub fn set_open(&self, open: bool) {
        self.0.send_replace(open);
    }

    pub(super) fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    pub(super) async fn opens(&self) {
        // It cannot fail: the sender is held here.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
