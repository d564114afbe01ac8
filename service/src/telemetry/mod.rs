//! What weir tells of itself: logs on standard error, metrics at `/metrics`, and both metrics and spans over OTLP
//! where an endpoint is configured.
//!
//! The endpoint may be weir itself. Then it does not feed on itself for ever: exports carry [`SELF_HEADER`], and a
//! request with it is not traced; only requests, and what happens within them, become spans, so that moving the
//! exported telemetry through the rooms makes no new one; metrics are sent by the clock.

mod process;
mod trace;

use std::io::IsTerminal as _;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::Deserialize;
use tracing_subscriber::filter::{DynFilterFn, EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer, Registry};

use crate::config::Span;

pub use self::trace::continue_trace;

/// Set on every export of weir's own telemetry, with the value `self`.
pub const SELF_HEADER: HeaderName = HeaderName::from_static("weir-telemetry");

/// Target of the spans that stand for requests; others are exported only within one of these.
pub(crate) const REQUEST_TARGET: &str = "weir_service::request";

/// Section `telemetry` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Level, or directives such as `info,weir_indexer=debug`.
    pub log: String,
    /// How log lines look.
    pub format: Format,
    /// Where own spans and metrics go; `None` sends none.
    pub otlp: Option<Otlp>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Export over OTLP/gRPC.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// `http://host:4317`.
    pub endpoint: String,
    /// How often metrics are sent.
    #[serde(default = "default_interval")]
    pub interval: Span,
}

fn default_interval() -> Span {
    Span(Duration::from_secs(15))
}

impl Default for Options {
    fn default() -> Self {
        Self { log: "info".to_owned(), format: Format::Auto, otlp: None }
    }
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log level is none.
    #[error("`telemetry.log`: «{text}» is no level (off, error, warn, info, debug, trace) or list of target=level")]
    Log {
        /// As written.
        text: String,
    },
    /// The endpoint cannot be used.
    #[error("`telemetry.otlp.endpoint`: «{0}» should be http://host:port of an OTLP/gRPC receiver")]
    Endpoint(String),
    /// The interval cannot be used.
    #[error("`telemetry.otlp.interval`: should be at least 1s")]
    Interval,
    /// The exporter cannot be built.
    #[error("telemetry: the OTLP exporter cannot be built")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The registry of metrics refused.
    #[error("telemetry: metrics cannot be registered")]
    Metrics(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// Metrics cannot be shown.
    #[error("telemetry: metrics cannot be written")]
    Encode(#[from] prometheus::Error),
    /// This process has telemetry already.
    #[error("telemetry was started before in this process")]
    Started(#[from] tracing::subscriber::SetGlobalDefaultError),
}

impl Options {
    /// Whether [`Telemetry::start`] can work with these; touches nothing.
    pub fn check(&self) -> Result<(), Error> {
        self.filter()?;
        if let Some(otlp) = &self.otlp {
            let uri: Option<http::Uri> = otlp.endpoint.parse().ok();
            if !uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.port().is_some()) {
                return Err(Error::Endpoint(otlp.endpoint.clone()));
            }
            if otlp.interval.0 < Duration::from_secs(1) {
                return Err(Error::Interval);
            }
        }
        Ok(())
    }

    fn filter(&self) -> Result<EnvFilter, Error> {
        let fail = || Error::Log { text: self.log.clone() };
        // The filter takes any word for the name of a module, and tells nothing of all others then.
        let is_level = |part: &str| part.contains(['=', '[']) || part.trim().parse::<LevelFilter>().is_ok();
        if !self.log.split(',').all(is_level) {
            return Err(fail());
        }
        // What the exporters say of themselves is for those who write them.
        let log = if self.log == "off" { self.log.clone() } else { format!("opentelemetry_sdk=warn,{}", self.log) };
        EnvFilter::builder().parse(log).map_err(|_| fail())
    }
}

/// Telemetry of this process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {
    registry: prometheus::Registry,
    meters: SdkMeterProvider,
    tracers: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Starts logs, metrics and export for this process; once, within a tokio runtime.
    pub fn start(options: &Options, service_name: &'static str) -> Result<Self, Error> {
        options.check()?;
        let (telemetry, spans) = Self::build(options, service_name)?;
        let json = match options.format {
            Format::Json => true,
            Format::Text => false,
            Format::Auto => !std::io::stderr().is_terminal(),
        };
        let log =
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        let log = if json { log.json().with_ansi(false).boxed() } else { log.boxed() };
        let subscriber = Registry::default().with(log.with_filter(options.filter()?)).with(spans);
        tracing::subscriber::set_global_default(subscriber)?;
        Ok(telemetry)
    }

    /// Metrics only, of no process in particular: for tests and benchmarks.
    pub fn detached() -> Result<Self, Error> {
        Ok(Self::build(&Options::default(), "weir")?.0)
    }

    #[allow(clippy::type_complexity, reason = "the layer's type is tracing's own")]
    fn build(
        options: &Options,
        service_name: &'static str,
    ) -> Result<(Self, Option<Box<dyn Layer<Layered> + Send + Sync>>), Error> {
        let resource = Resource::builder()
            .with_service_name(service_name)
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let registry = prometheus::Registry::new();
        let shown = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()?;
        let mut meters = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(shown);
        let mut tracers = None;
        if let Some(otlp) = &options.otlp {
            let metadata = || {
                let mut headers = HeaderMap::new();
                headers.insert(SELF_HEADER, HeaderValue::from_static("self"));
                MetadataMap::from_headers(headers)
            };
            let exporter = MetricExporter::builder()
                .with_tonic()
                .with_endpoint(&otlp.endpoint)
                .with_metadata(metadata())
                .build()?;
            meters = meters.with_reader(PeriodicReader::builder(exporter).with_interval(otlp.interval.0).build());
            let exporter =
                SpanExporter::builder().with_tonic().with_endpoint(&otlp.endpoint).with_metadata(metadata()).build()?;
            tracers = Some(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build());
        }
        let spans = tracers.as_ref().map(|tracers: &SdkTracerProvider| {
            let within_a_request = DynFilterFn::new(|metadata, context| {
                metadata.target() == REQUEST_TARGET
                    || (metadata.target().starts_with("weir") && context.lookup_current().is_some())
            });
            let layer = tracing_opentelemetry::layer().with_tracer(tracers.tracer("weir"));
            layer.with_filter(within_a_request).boxed()
        });
        Ok((Self { registry, meters: meters.build(), tracers }, spans))
    }

    /// Makes a room's instruments.
    pub fn meter(&self) -> Meter {
        self.meters.meter("weir")
    }

    /// All metrics and those of the process, in Prometheus' text format.
    pub fn metrics(&self) -> Result<String, Error> {
        let mut text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather())?;
        process::write(&mut text);
        Ok(text)
    }

    /// Sends what is left; takes up to ten seconds where the receiver is away. Blocks.
    pub fn stop(&self) {
        if let Some(tracers) = &self.tracers
            && let Err(error) = tracers.shutdown_with_timeout(Duration::from_secs(5))
        {
            tracing::warn!(%error, "the last spans could not be sent");
        }
        if let Err(error) = self.meters.shutdown_with_timeout(Duration::from_secs(5)) {
            tracing::warn!(%error, "the last metrics could not be sent");
        }
    }
}

/// An error with what caused it, on one line: `a: b: c`. As a field of a log, an error is its first line alone.
pub fn whole(error: &dyn std::error::Error) -> impl std::fmt::Display {
    std::fmt::from_fn(move |f| {
        write!(f, "{error}")?;
        let mut cause = error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    })
}

type Layered = tracing_subscriber::layer::Layered<
    tracing_subscriber::filter::Filtered<Box<dyn Layer<Registry> + Send + Sync>, EnvFilter, Registry>,
    Registry,
>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_the_process_are_shown_as_prometheus_reads_them() {
        let telemetry = Telemetry::detached().unwrap();
        telemetry.meter().u64_counter("weir_lines").build().add(3, &[]);
        let text = telemetry.metrics().unwrap();
        assert!(text.contains("\nweir_lines_total 3\n"), "{text}");
        assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    }

    #[test]
    fn options_that_cannot_work_are_named() {
        let endpoint = |text: &str| Options {
            otlp: Some(Otlp { endpoint: text.to_owned(), interval: default_interval() }),
            ..Options::default()
        };
        assert!(endpoint("http://127.0.0.1:4317").check().is_ok());
        assert!(endpoint("127.0.0.1:4317").check().unwrap_err().to_string().contains("telemetry.otlp.endpoint"));
        for (log, is_right) in [("weir=loud", false), ("chatty", false), ("debug", true), ("warn,weir_bus=trace", true)]
        {
            let checked = Options { log: log.to_owned(), ..Options::default() }.check();
            assert_eq!(checked.is_ok(), is_right, "{log}");
            assert!(checked.err().is_none_or(|error| error.to_string().starts_with("`telemetry.log`")));
        }
    }
}
