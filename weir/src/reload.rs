//! The configuration file is read again when it changes: what the collector follows changes without a stop.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use weir_alerter::NamespaceTenants;
use weir_collector::Handle;

use crate::config;

/// How often the file is looked at; SIGHUP is at once.
const PERIOD: Duration = Duration::from_secs(5);

/// Keys of `collector` that take effect at once.
const AT_ONCE: [&str; 5] = ["files", "tenant", "kubelet", "max_line", "max_open_files"];

/// Takes changes until it is stopped. A file that is not sound changes nothing, and says so once. `namespaces` are those
/// that the alerter of this process follows.
pub(crate) async fn watch(
    path: &Path,
    collector: &Handle,
    namespaces: &NamespaceTenants,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut asked = signal(SignalKind::hangup())?;
    let mut known = tokio::fs::read(path).await.unwrap_or_default();
    let mut values = weir_service::config::load::<Value>(Some(path)).unwrap_or_default();
    let mut failures = 0;
    loop {
        let is_asked = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PERIOD) => false,
            _ = asked.recv() => true,
        };
        let now = match tokio::fs::read(path).await {
            Ok(now) => now,
            Err(error) => {
                failures += 1;
                // One that is being written is there again the next time.
                if is_asked || failures == 2 {
                    let error = error.to_string();
                    tracing::error!(error, path = %path.display(), "the configuration cannot be read: the old one stays");
                }
                continue;
            }
        };
        failures = 0;
        if now == known {
            if is_asked {
                tracing::info!(path = %path.display(), "the configuration is the one that is followed already");
            }
            continue;
        }
        known = now;
        let taken = config::load(Some(path)).map_err(anyhow::Error::from);
        let new = weir_service::config::load::<Value>(Some(path)).unwrap_or_default();
        let reload = |config: config::Config| {
            // Opened anew, files are found anew: nothing is to be had from that where nothing changed for them.
            if follows_others(&values, &new) {
                let mapped = config.collector.tenant.namespaces.clone();
                collector.reload(config.collector)?;
                namespaces.set(mapped);
            }
            Ok(())
        };
        match taken.and_then(reload) {
            Ok(()) => {
                for key in later(&values, &new) {
                    tracing::warn!(key, "this key has changed, and takes effect at the next start");
                }
                tracing::info!(path = %path.display(), "the configuration was read again");
                values = new;
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the configuration has changed and is not sound: the old one stays");
            }
        }
    }
}

/// Whether what the collector follows is other now.
fn follows_others(old: &Value, new: &Value) -> bool {
    AT_ONCE.iter().any(|key| old["collector"].get(key) != new["collector"].get(key))
}

/// Keys that are others now, and take effect later.
fn later(old: &Value, new: &Value) -> Vec<String> {
    let keys = |value: &Value| value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let both = |old: &Value, new: &Value| {
        let mut all = [keys(old), keys(new)].concat();
        all.sort();
        all.dedup();
        all.retain(|key| old.get(key) != new.get(key));
        all
    };
    let mut changed = both(old, new);
    if let Some(at) = changed.iter().position(|key| key == "collector") {
        changed.remove(at);
        let inner = both(&old["collector"], &new["collector"]).into_iter();
        let inner = inner.filter(|key| !AT_ONCE.contains(&key.as_str()));
        changed.extend(inner.map(|key| format!("collector.{key}")));
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_takes_effect_later_is_told_by_its_key() {
        let old = json!({ "listen": "a", "collector": { "files": [1], "gpu": null } });
        let new = json!({ "listen": "a", "collector": { "files": [2], "gpu": { "interval": "5s" } }, "bus": {} });
        assert_eq!(later(&old, &new), ["bus", "collector.gpu"]);
        assert!(later(&old, &old).is_empty());
        assert!(follows_others(&old, &new) && !follows_others(&old, &json!({ "collector": { "files": [1] } })));
        assert!(!follows_others(&json!({}), &json!({ "alerter": {} })));
    }
}
