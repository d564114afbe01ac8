//! `weir check`: says what a configuration would run.

use std::io::Write as _;
use std::path::Path;

use crate::config::Config;

pub(crate) fn run(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(Some(path))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} is sound", path.display())?;
    writeln!(out, "data      {}", config.data_dir.display())?;
    writeln!(out, "http      {}", config.listen)?;
    match &config.bus.brokers {
        Some(brokers) if config.bus.broker == weir_bus::Broker::Kafka => writeln!(out, "bus       Kafka at {brokers}")?,
        _ => writeln!(out, "bus       {:?}", config.bus.broker)?,
    }
    for files in &config.collector.files {
        writeln!(out, "collector files {}", files.include.join(", "))?;
    }
    let otlp = &config.collector.otlp;
    for (name, address) in [("gRPC", otlp.grpc), ("HTTP", otlp.http)] {
        if let Some(address) = address {
            writeln!(out, "collector OTLP/{name} on {address}")?;
        }
    }
    writeln!(
        out,
        "alerter   rules {}",
        if config.alerter.rules.is_empty() { "none".into() } else { config.alerter.rules.join(", ") }
    )?;
    for section in config.not_run() {
        writeln!(out, "note      `{section}` is understood, but this version does not run it")?;
    }
    Ok(())
}
