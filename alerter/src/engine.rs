//! Evaluates rules at event time.

use std::path::Path;

use opentelemetry::metrics::Meter;
use tokio_util::sync::CancellationToken;

use crate::options::Options;
use crate::series::feed::Shared;

/// The rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {}

/// What the API sees.
#[derive(Debug, Clone)]
pub(crate) struct Engine;

/// The evaluating task.
#[derive(Debug)]
pub(crate) struct Run;

impl Engine {
    pub(crate) async fn open(_: Options, _: &Path, _: Shared, _: &Meter) -> Result<(Self, Run), Error> {
        Ok((Self, Run))
    }
}

impl Run {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        shutdown.cancelled().await;
    }
}
