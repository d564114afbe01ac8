//! The file source, opened anew whenever what it follows changes: positions go from one to the next.

use std::path::PathBuf;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
use weir_service::health::Part;

use crate::file::{Settings, Source, Sources, Until};
use crate::kubernetes::Pods;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::naming::Naming;
use crate::{Error, Options};

/// What a file source needs beside its options.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) folder: PathBuf,
    pub(crate) bus: Bus,
    pub(crate) pods: Option<Pods>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Part,
    pub(crate) sources: Sources,
    pub(crate) limits: Limits,
}

impl Following {
    /// A source by these options, which goes on where the last one stopped.
    pub(crate) fn open(&self, options: &Options) -> Result<Source, Error> {
        let naming = Naming::new(options, self.pods.clone());
        let bounds = self.limits.bounds();
        let settings = Settings { in_flight: bounds.files, waiting: bounds.waiting, ..Settings::default() };
        let (metrics, health) = (self.metrics.clone(), self.health.clone());
        let source = Source::open(options, settings, &self.folder, &self.bus, naming, metrics, health)?;
        Ok(source.telling(&self.sources).within(&self.limits))
    }

    /// Runs a source until it is stopped; for every change of the options it is drained, and another goes on.
    pub(crate) async fn run(
        self,
        mut source: Source,
        mut changes: watch::Receiver<Options>,
        there: CancellationToken,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        loop {
            let round = stop.child_token();
            let running = source.reading_after(there.clone()).run(Until::Stopped, round.clone());
            tokio::pin!(running);
            tokio::select! {
                ended = &mut running => return ended.map(|_| ()),
                Ok(()) = changes.changed() => {}
            }
            round.cancel();
            let left = running.await?;
            if stop.is_cancelled() {
                return Ok(());
            }
            let options = changes.borrow_and_update().clone();
            source = self.open(&options)?.holding(left);
            tracing::info!("files are followed by the new configuration");
        }
    }
}
