//! Pods and their labels, from the Kubernetes API: what log files do not say of themselves.
//!
//! # What is promised
//! - The pods of a node are listed once, and then watched: a watch that ends goes on from the last event, and only where
//!   the server does not know any more what came since, all are listed again.
//! - Nothing waits for the API server, and without it all else goes on: [`Pods::state`] says whether a pod that is not
//!   known may be one that was not told of yet.
//! - A pod is known by its uid. It is remembered for ten minutes after it is gone; the one that gets its name next is
//!   another.
//! - Metadata is asked for alone, unless the machine is measured and its node is named: then of this node's pods also how
//!   they run ([`Runs`]), which becomes metrics.
//! - What is remembered is bounded, and so is every answer of the server, in bytes and in time.
//! - A token or a certificate authority that was replaced is used from the next connection on.

mod api;
mod measure;
mod options;
mod pods;
mod quantity;
mod resources;
mod watch;

pub use api::Error;
pub use options::KubernetesOptions;
pub use pods::{Pod, Pods, State};
pub use resources::{Container, Phase, Runs};

use kube::config::InClusterError;
use opentelemetry::metrics::Meter;
use tokio_util::sync::{CancellationToken, DropGuard};
use weir_service::telemetry::whole;

use api::{Api, Source};
pub(crate) use measure::measure;
use watch::{Settings, Watcher};

/// Keeps in step with the API server for as long as it is there.
#[derive(Debug)]
pub struct Kubernetes {
    pods: Pods,
    _running: DropGuard,
}

impl Kubernetes {
    /// Starts to ask, in the runtime that it is called in; nothing where there is nobody to be asked. `tenant` is the
    /// label or annotation that names a pod's tenant. With `measures`, what the pods of this node request and may use is
    /// asked for too, if the node is named; of all others their metadata is enough.
    pub fn start(options: &KubernetesOptions, tenant: &str, measures: bool, meter: &Meter) -> Option<Self> {
        let source = match &options.kubeconfig {
            Some(path) => Source::Kubeconfig(path.clone()),
            None => match kube::Config::incluster() {
                Ok(_) => Source::Pod,
                Err(InClusterError::ReadEnvironmentVariable(_)) => return None,
                Err(error) => {
                    tracing::info!(
                        error = %whole(&error),
                        "this pod has no service account that is usable: labels of pods are not known"
                    );
                    return None;
                }
            },
        };
        let node = options.node.as_deref().map(Into::into);
        let whole = measures && options.node.is_some();
        Some(Self::run(Api { source, node, whole }, tenant, Settings::default(), meter))
    }

    fn run(api: Api, tenant: &str, settings: Settings, meter: &Meter) -> Self {
        let (pods, stop) = (Pods::new(), CancellationToken::new());
        let watcher = Watcher::new(api, pods.clone(), tenant, settings, meter);
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(watcher.run()).await });
        Self { pods, _running: stop.drop_guard() }
    }

    /// What is known of pods.
    pub fn pods(&self) -> Pods {
        self.pods.clone()
    }
}

#[cfg(test)]
mod tests;
