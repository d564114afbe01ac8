//! What is measured here rather than taken from others, and its way to the bus.

use opentelemetry::metrics::Meter;
use tokio_util::sync::CancellationToken;
use weir_bus::Producer;

use crate::gpu::{Gpu, Watch};
use crate::host::Host;
use crate::limits::Bounds;
use crate::naming::Naming;
use crate::options::{GpuOptions, HostOptions, Options};
use crate::samples::Samples;

/// The sources that measure.
#[derive(Debug)]
pub(crate) struct Measured {
    gpu: Option<GpuOptions>,
    watch: Watch,
    host: Option<HostOptions>,
    naming: Naming,
    samples: Samples,
    producer: Producer,
}

impl Measured {
    /// What these options ask for; nothing is measured yet.
    pub(crate) fn new(options: &Options, naming: Naming, meter: &Meter, producer: Producer) -> Self {
        let samples = Samples::with_limit(meter, Bounds::of(options.limits.memory).samples);
        Self {
            gpu: options.gpu.clone(),
            watch: Watch::new(meter),
            host: options.host.clone(),
            naming,
            samples,
            producer,
        }
    }

    /// Where samples wait.
    pub(crate) fn samples(&self) -> Samples {
        self.samples.clone()
    }

    /// Measures until it is stopped; nothing is sent before `there` is cancelled, since the topics may not be there.
    pub(crate) async fn run(self, there: CancellationToken, stop: CancellationToken) {
        let Self { gpu, watch, host, naming, samples, producer } = self;
        let root = host.as_ref().map_or_else(|| HostOptions::default().root, |host| host.root.clone());
        let gpu = gpu.and_then(|options| {
            Gpu::start(&options, naming.clone(), root, samples.clone(), watch)
                .inspect_err(|error| tracing::error!(%error, "there is no thread to measure GPUs"))
                .ok()
        });
        let host = host.and_then(|options| {
            Host::start(&options, naming, samples.clone())
                .inspect_err(|error| tracing::error!(%error, "there is no thread to measure the machine"))
                .ok()
        });
        let sending = async {
            tokio::select! {
                () = stop.cancelled() => return,
                () = there.cancelled() => {}
            }
            samples.run(producer, stop.clone()).await;
        };
        let watching = async {
            match &gpu {
                Some(gpu) => gpu.watched().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sending => {}
            () = watching => {}
        }
        drop((host, gpu));
    }
}
