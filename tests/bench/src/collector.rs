//! The collector, from warm files and sockets to a bus that keeps nothing, or to Kafka.
//!
//! What feeds a case while it is timed runs in a process of its own ([`feed`]), so that its CPU seconds and memory are
//! not counted.

mod noisy;
mod otlp;
mod peers;
mod steady;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use weir::load::lines::{Format, Line};
use weir_bus::{Broker, Bus};
use weir_collector::file::{Settings, Source, Until};
use weir_collector::metrics::Metrics;
use weir_collector::naming::Naming;
use weir_collector::options::{FileOptions, Multiline, Options};
use weir_proto::topic;
use weir_service::health::Health;
use weir_service::telemetry::Telemetry;
use weir_tests::kafka::Kafka;

pub(crate) use self::noisy::{noisy, old_files};
pub(crate) use self::otlp::passthrough;
pub(crate) use self::peers::{filebeat, rsyslog};
pub(crate) use self::steady::{idle, rate_10mb};
use crate::floor::TIME;
use crate::{Ready, Skipped, Work, real_lines, traces};

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

/// Java's stack traces of 36 lines as CRI lines, each trace one record; figures are of lines.
pub(crate) fn multiline(smoke: bool) -> anyhow::Result<Ready> {
    let traces = if smoke { 500 } else { 50_000 };
    let rig = Rig { multiline: Multiline::Auto, ..Rig::new(&null())? };
    let (mut file, mut wrapped, mut bytes) = (File::create(rig.logs().join("warm.log"))?, Vec::new(), 0);
    for seq in 0..traces {
        wrapped.clear();
        traces::write(&mut wrapped, TIME, seq);
        bytes += wrapped.len() as u64;
        file.write_all(&wrapped)?;
    }
    Ok(Box::new(move || {
        let mut work = rig.to_the_end(traces * traces::LINES, bytes)?;
        work.more.insert("traces".to_owned(), traces.into());
        Ok(work)
    }))
}

fn to_null(format: Format, text: usize, smoke: bool) -> anyhow::Result<Ready> {
    let lines = if smoke { 20_000 } else { 2_000_000 };
    let rig = Rig::new(&null())?;
    let bytes = write(&rig.logs().join("warm.log"), format, text, lines)?;
    Ok(Box::new(move || rig.to_the_end(lines, bytes)))
}

/// 512-byte CRI lines to a real Kafka with acks=all and lz4; the broker's own CPU seconds are not counted.
pub(crate) fn cri_512_kafka(smoke: bool) -> anyhow::Result<Ready> {
    let lines = if smoke { 20_000 } else { 1_000_000 };
    let (kafka, rig) = on_kafka(topic::LOGS)?;
    let bytes = write(&rig.logs().join("warm.log"), Format::Cri, 471, lines)?;
    Ok(Box::new(move || {
        let _kafka = kafka;
        rig.to_the_end(lines, bytes)
    }))
}

/// Recorded lines of 94 sources, as CRI, a file to a source.
pub(crate) fn real(smoke: bool) -> anyhow::Result<Ready> {
    let folder = weir_tests::environment("WEIR_TEST_DATA").map(PathBuf::from).filter(|folder| folder.is_dir());
    let folder = folder.ok_or_else(|| Skipped("WEIR_TEST_DATA names no folder of test data".to_owned()))?;
    let replays = if smoke { 1 } else { 20 };
    let rig = Rig::new(&null())?;
    let (mut lines, mut bytes) = (0, 0);
    let sources = real_lines::read(&folder)?;
    for (number, (_, texts)) in sources.iter().enumerate() {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(rig.logs().join(format!("{number}.log")))?);
        for text in std::iter::repeat_n(texts, replays).flatten() {
            writeln!(file, "{TIME} stdout F {text}")?;
            lines += 1;
            bytes += (TIME.len() + 11 + text.len()) as u64;
        }
        file.flush()?;
    }
    let sources = sources.len();
    Ok(Box::new(move || {
        let mut work = rig.to_the_end(lines, bytes)?;
        work.more.insert("sources".to_owned(), sources.into());
        work.more.insert("replays".to_owned(), replays.into());
        Ok(work)
    }))
}

/// A broker of its own, which is there for as long as it is held, and a rig on it; the topic is made.
fn on_kafka(topic: &str) -> anyhow::Result<(Kafka, Rig)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let kafka = runtime.block_on(Kafka::start()).map_err(|error| Skipped(format!("{error:#}")))?;
    let rig = Rig::new(&kafka.options())?;
    rig.runtime.block_on(rig.bus.ensure_topics(&[rig.bus.topic_spec(topic)]))?;
    Ok((kafka, rig))
}

fn null() -> weir_bus::Options {
    weir_bus::Options { broker: Broker::Null, ..weir_bus::Options::default() }
}

/// A file source on a folder of its own.
struct Rig {
    multiline: Multiline,
    runtime: Runtime,
    /// Below the folder that is removed when this process has ended: removing it is no work of the source.
    folder: PathBuf,
    bus: Bus,
    telemetry: Telemetry,
}

impl Rig {
    fn new(bus: &weir_bus::Options) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?.keep();
        for name in ["logs", "state"] {
            std::fs::create_dir(folder.join(name))?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let bus = runtime.block_on(Bus::open(bus, &folder))?;
        Ok(Self { multiline: Multiline::None, runtime, folder, bus, telemetry: Telemetry::detached()? })
    }

    fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    fn source(&self) -> anyhow::Result<Source> {
        let include = vec![self.logs().join("*.log").display().to_string()];
        let files = FileOptions { include, multiline: self.multiline.clone(), ..FileOptions::default() };
        let options = Options { files: vec![files], ..Options::default() };
        let state = self.folder.join("state");
        let part = Health::default().part("files");
        let metrics = Metrics::new(&self.telemetry.meter());
        Ok(Source::open(&options, Settings::default(), &state, &self.bus, Naming::default(), metrics, part)?)
    }

    fn to_the_end(&self, lines: u64, bytes: u64) -> anyhow::Result<Work> {
        self.runtime.block_on(self.source()?.run(Until::End, CancellationToken::new()))?;
        let read = self.lines()?;
        anyhow::ensure!(read == lines, "{read} of {lines} lines were read");
        Ok(Work { records: lines, bytes, more: serde_json::Map::new() })
    }

    /// Lines that the source has read.
    fn lines(&self) -> anyhow::Result<u64> {
        let told = self.telemetry.metrics()?;
        let line = told.lines().find(|line| line.starts_with("weir_collector_file_lines"));
        let count = line.and_then(|line| line.rsplit(' ').next()).context("the source counts no lines")?;
        Ok(count.parse::<f64>()? as u64)
    }
}

/// What a case is fed by, in a process of its own: `to` is a folder or an address.
pub(crate) fn feed(case: &str, to: &str, smoke: bool) -> anyhow::Result<()> {
    match case {
        "rate-10mb" => steady::feed(Path::new(to), smoke),
        "noisy" => noisy::feed(Path::new(to), smoke),
        "old-files" => noisy::feed_quiet(Path::new(to), smoke),
        "otlp-passthrough" => otlp::feed(to, smoke),
        _ => anyhow::bail!("{case} is not fed"),
    }
}

fn start_feed(case: &str, to: &str, smoke: bool) -> anyhow::Result<Child> {
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["collector", "--case", case, "--feed", to]).stdin(Stdio::null()).stdout(Stdio::null());
    if smoke {
        child.arg("--smoke");
    }
    Ok(child.spawn()?)
}

/// Writes the lines, and so leaves them in the page cache.
fn write(path: &Path, format: Format, text: usize, lines: u64) -> anyhow::Result<u64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut wrapped, mut bytes) = (Vec::new(), 0);
    for seq in 0..lines {
        wrapped.clear();
        Line::generate(&mut rng, seq as usize, seq, text).wrap(&mut wrapped, format, TIME, None);
        bytes += wrapped.len() as u64;
        file.write_all(&wrapped)?;
    }
    file.flush()?;
    Ok(bytes)
}
