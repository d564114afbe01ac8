//! The collector's file source, from warm files to a bus that keeps nothing.

use std::path::Path;

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use tokio_util::sync::CancellationToken;
use weir::load::lines::{Format, Line};
use weir_bus::{Broker, Bus};
use weir_collector::file::{Settings, Source, Until};
use weir_collector::metrics::Metrics;
use weir_collector::options::{FileOptions, Options};
use weir_service::health::Health;
use weir_service::telemetry::Telemetry;

use crate::{Ready, Work};

/// 512-byte CRI lines.
pub(crate) fn cri_512(smoke: bool) -> anyhow::Result<Ready> {
    to_null(Format::Cri, 471, smoke)
}

/// 200-byte CRI lines.
pub(crate) fn cri_200(smoke: bool) -> anyhow::Result<Ready> {
    to_null(Format::Cri, 159, smoke)
}

/// Docker's JSON lines of 200 bytes of text.
pub(crate) fn docker(smoke: bool) -> anyhow::Result<Ready> {
    to_null(Format::Docker, 200, smoke)
}

fn to_null(format: Format, text: usize, smoke: bool) -> anyhow::Result<Ready> {
    let lines = if smoke { 20_000 } else { 1_000_000 };
    let folder = tempfile::tempdir()?;
    let bytes = write(&folder.path().join("warm.log"), format, text, lines)?;
    let include = vec![folder.path().join("*.log").display().to_string()];
    let options = Options { files: vec![FileOptions { include, ..FileOptions::default() }], ..Options::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bus_options = weir_bus::Options { broker: Broker::Null, ..weir_bus::Options::default() };
    let bus = runtime.block_on(Bus::open(&bus_options, folder.path()))?;
    let metrics = Metrics::new(&Telemetry::detached()?.meter());
    let state = folder.path().join("state");
    std::fs::create_dir(&state)?;
    let part = Health::default().part("files");
    let source = Source::open(&options, Settings::default(), &state, bus.producer()?, metrics, part)?;
    Ok(Box::new(move || {
        let _folder = folder;
        runtime.block_on(source.run(Until::End, CancellationToken::new()))?;
        Ok(Work { records: lines, bytes, more: serde_json::Map::new() })
    }))
}

/// Writes the lines, and so leaves them in the page cache.
fn write(path: &Path, format: Format, text: usize, lines: u64) -> anyhow::Result<u64> {
    use std::io::Write as _;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    let (mut wrapped, mut bytes) = (Vec::new(), 0);
    for seq in 0..lines {
        wrapped.clear();
        let line = Line::generate(&mut rng, seq as usize, seq, text);
        line.wrap(&mut wrapped, format, "2026-01-02T03:04:05.123456789Z", None);
        bytes += wrapped.len() as u64;
        file.write_all(&wrapped)?;
    }
    file.flush()?;
    Ok(bytes)
}
