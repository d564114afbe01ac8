//! Series written to others, by Prometheus' remote write 1.0: Prometheus, VictoriaMetrics, Thanos, Mimir keep them for
//! months.
//!
//! What is sent is what rules may see: all series up to the event time at which they were evaluated, window by window
//! of `batch_send_deadline`, each series in the order of time ([`crate::series::export`] has what it is made of).
//! Samples that come for a time that was sent are in later totals of counters and histograms; a late gauge is not sent.
//!
//! **Delivery: at least once.** The position of a receiver is the end of the last window that was taken as a whole, and
//! the last series that was taken of the window behind it, in the order of the hashes of their labels. It is written
//! when a request was answered, so a crash in between sends that request again. A receiver that is away is waited for
//! as long as the history holds what it lacks; what is older is counted as lost. A request that is refused is sent again
//! in halves where parts of it may be sound, and what is refused then is counted and left out.

mod answer;
mod client;
mod options;
mod position;
mod relabel;
mod request;
mod sender;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use opentelemetry::metrics::Meter;
use tokio::sync::watch;
use weir_service::health::Health;

pub use options::{MetadataConfig, QueueConfig, RemoteWrite, check_labels};
pub use relabel::{Action, RelabelConfig};
pub(crate) use sender::Sender;

use crate::Options;
use crate::client::ClientError;

/// A receiver cannot be written to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client cannot be made of what is configured.
    #[error("remote_write: receiver `{name}`")]
    Client {
        /// The receiver.
        name: String,
        /// Why.
        source: ClientError,
    },
    /// The position cannot be read.
    #[error("remote_write: cannot use {path}")]
    Position {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The senders of all receivers, each with its position of before. Nothing is sent before they run.
pub(crate) fn open(
    options: &Options,
    folder: &Path,
    complete: &watch::Receiver<Option<i64>>,
    meter: &Meter,
    health: &Health,
) -> Result<Vec<Sender>, Error> {
    let folder = folder.join("remote");
    let open = |receiver: &RemoteWrite| {
        let health = health.part(&format!("alerter remote write {}", receiver.name()));
        Sender::open(receiver, &options.external_labels, &folder, complete, meter, health)
    };
    options.remote_write.iter().map(open).collect()
}

/// What cannot work, by the key's name.
pub(crate) fn check(receivers: &[RemoteWrite]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for receiver in receivers {
        let name = receiver.name();
        receiver.check().map_err(|error| format!("remote_write: receiver `{name}`: {error}"))?;
        if !names.insert(receiver.file_name()) {
            return Err(format!("remote_write: there are two named `{name}`; give each a `name` of its own"));
        }
    }
    Ok(())
}
