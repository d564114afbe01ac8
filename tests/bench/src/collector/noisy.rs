//! Fifty quiet pods beside one of the same tenant that writes 100 MB/s, or while a first start reads ten thousand old
//! files, to a real Kafka: how late the quiet ones' lines are there.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use prost::Message as _;
use tokio_util::sync::CancellationToken;
use weir::load::lines::Format;
use weir_bus::{Event, Partition, Position};
use weir_collector::file::Until;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::topic;

use super::{Rig, on_kafka, start_feed};
use crate::{Ready, Work};

const NOISY_BYTES_A_SECOND: u64 = 100_000_000;
/// With its CRI prefix; the text is 471.
const LINE_BYTES: u64 = 512;
/// The noisy pod's file is renamed at this size, twice a second, and stays. The kubelet's own limit is 10 MiB.
const ROTATED_AT: u64 = 50 << 20;
const QUIET_FILES: u32 = 50;
const QUIET_LINES_A_SECOND: u64 = 500;
/// The namespace that tells a record of a quiet pod.
const QUIET: &str = "quiet";
/// What lies on a node that has run for long, of pods whose files stay where they are.
const OLD_FILES: u64 = 10_000;
const OLD_LINES: u64 = 100;
const PATIENCE: Duration = Duration::from_mins(1);

fn seconds(smoke: bool) -> u64 {
    if smoke { 2 } else { 20 }
}

/// `p50_ms` and `max_ms` are from when a quiet line was written until it can be read from Kafka; `noisy_mb_a_second` is
/// how much of the noisy one was read meanwhile.
pub(crate) fn noisy(smoke: bool) -> anyhow::Result<Ready> {
    let (kafka, rig) = on_kafka(topic::LOGS)?;
    Ok(Box::new(move || {
        let _kafka = kafka;
        let beside = beside_quiet(&rig, "noisy", smoke)?;
        let noisy = (rig.lines()? - beside.quiet) * LINE_BYTES;
        let mut more = beside.more;
        more.insert("noisy_mb_a_second".to_owned(), (noisy as f64 / beside.seconds / 1e6).round().into());
        Ok(Work { records: beside.quiet, bytes: 0, more })
    }))
}

/// The same while old files are read.
pub(crate) fn old_files(smoke: bool) -> anyhow::Result<Ready> {
    let (kafka, rig) = on_kafka(topic::LOGS)?;
    let files = if smoke { 200 } else { OLD_FILES };
    for number in 0..files {
        let name = format!("old-{number}_old_app-{}.log", "0".repeat(64));
        let path = rig.logs().join(name);
        super::write(&path, Format::Cri, 471, OLD_LINES)?;
        File::options().append(true).open(path)?.set_modified(SystemTime::now() - Duration::from_hours(1))?;
    }
    Ok(Box::new(move || {
        let _kafka = kafka;
        let beside = beside_quiet(&rig, "old-files", smoke)?;
        let lines = files * OLD_LINES;
        anyhow::ensure!(rig.lines()? == beside.quiet + lines, "the old files were not read meanwhile");
        let mut more = beside.more;
        more.insert("old_files".to_owned(), files.into());
        Ok(Work { records: beside.quiet + lines, bytes: lines * LINE_BYTES, more })
    }))
}

/// What was seen of quiet pods.
struct Beside {
    quiet: u64,
    seconds: f64,
    more: serde_json::Map<String, serde_json::Value>,
}

/// Runs a source and what feeds it until all lines of quiet pods are there.
fn beside_quiet(rig: &Rig, case: &str, smoke: bool) -> anyhow::Result<Beside> {
    let partitions = rig.bus.topic_spec(topic::LOGS).partitions;
    let stop = CancellationToken::new();
    let source = rig.runtime.spawn(rig.source()?.run(Until::Stopped, stop.clone()));
    let started = Instant::now();
    let mut feed = start_feed(case, &rig.logs().display().to_string(), smoke)?;
    let quiet = seconds(smoke) * QUIET_LINES_A_SECOND;
    let positions: Vec<_> =
        (0..partitions).map(|n| Position { partition: Partition::new(topic::LOGS, n), offset: 0 }).collect();
    let mut late = rig.runtime.block_on(delays(rig, &positions, quiet as usize))?;
    let seconds = started.elapsed().as_secs_f64();
    anyhow::ensure!(feed.wait()?.success(), "the load generator failed");
    stop.cancel();
    rig.runtime.block_on(source)??;
    late.sort_unstable();
    let at = |part: f64| late.get(((late.len().max(1) - 1) as f64 * part) as usize).map(|&late| late as f64 / 1e6);
    let more = serde_json::json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0) });
    Ok(Beside { quiet, seconds, more: more.as_object().cloned().unwrap_or_default() })
}

/// How late each of so many lines of quiet pods is, in nanoseconds.
async fn delays(rig: &Rig, positions: &[Position], wanted: usize) -> anyhow::Result<Vec<i64>> {
    let mut consumer = rig.bus.consumer(positions)?;
    let (mut late, started) = (Vec::new(), Instant::now());
    while late.len() < wanted {
        anyhow::ensure!(started.elapsed() < PATIENCE, "{} of {wanted} quiet lines are on Kafka", late.len());
        let Event::Batch(messages) = consumer.next(100, Duration::from_secs(1)).await? else { continue };
        let now = weir_service::time::now_unix_nano();
        for message in messages {
            // The resource comes first; what is of the noisy pod is not decoded.
            let head = &message.value[..message.value.len().min(1024)];
            if memchr::memmem::find(head, QUIET.as_bytes()).is_none() {
                continue;
            }
            let request = ExportLogsServiceRequest::decode(message.value)?;
            let scopes = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
            late.extend(scopes.flat_map(|scope| scope.log_records).map(|line| now - line.time_unix_nano as i64));
        }
    }
    Ok(late)
}

/// Writes what [`noisy`] reads.
pub(super) fn feed(folder: &Path, smoke: bool) -> anyhow::Result<()> {
    let rate = NOISY_BYTES_A_SECOND / LINE_BYTES;
    let noisy = weir::load::logs::Args {
        files: 1,
        lines: seconds(smoke) * rate,
        rate,
        rotate_size: Some(ROTATED_AT),
        line_bytes: 471,
        namespaces: vec!["noisy".into()],
        seed: 2,
        ..quiet(folder, smoke)
    };
    let beside = std::thread::spawn(move || weir::load::logs::write(&noisy));
    feed_quiet(folder, smoke)?;
    beside.join().map_err(|_| anyhow::anyhow!("the noisy pod panicked"))??;
    Ok(())
}

/// Writes what [`old_files`] reads beside them.
pub(super) fn feed_quiet(folder: &Path, smoke: bool) -> anyhow::Result<()> {
    weir::load::logs::write(&quiet(folder, smoke))?;
    Ok(())
}

fn quiet(folder: &Path, smoke: bool) -> weir::load::logs::Args {
    weir::load::logs::Args {
        dir: folder.to_owned(),
        files: QUIET_FILES,
        lines: seconds(smoke) * QUIET_LINES_A_SECOND,
        first: 0,
        rate: QUIET_LINES_A_SECOND,
        rotate_every: None,
        rotate_size: None,
        keep: None,
        format: Format::Cri,
        line_bytes: 159,
        partial_one_in: 0,
        namespaces: vec![QUIET.into()],
        seed: 1,
    }
}
