//! The room with ten captures, in a temporary folder with an embedded bus of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Partition, Record, Retention};
use weir_proto::topic;
use weir_reflow::dataset::Store;
use weir_reflow::{Options, Reflow};
use weir_service::Context;
use weir_service::auth::Auth;
use weir_service::health::Health;
use weir_service::telemetry::Telemetry;

/// What the captures take is about a tenth of the spans.
const CAPTURES: &str = r"
- {name: service-errors, query: 'service:service-03 AND status:error', format: jsonl}
- {name: errors, query: 'status:error', REDACTED}
- {name: slow, query: 'duration:>5s AND kind:server', format: jsonl}
- {name: by-trace, query: 'service:service-07', sample: {ratio: 0.1, by: trace}}
- {name: model, query: 'attributes.gen_ai.request.model:deepseek-v3', sample: {ratio: 0.1, by: trace}, REDACTED}
- {name: long-answers, query: 'gen_ai.usage.output_tokens:>=980', format: jsonl, REDACTED}
- {name: one-tenant, query: 'kind:server AND NOT status:error', tenants: [tenant-1], sample: {ratio: 0.1}}
- {name: some-of-all, query: '', sample: {ratio: 0.01}, REDACTED}
- {name: route, query: 'http.route:/v1/chat/* AND http.response.status_code:>=500', sample: {ratio: 0.5}, format: jsonl}
- {name: users, query: 'user.id:user-001*', format: jsonl, REDACTED}
";

const FIELDS: &str = "{trace: trace_id, service: service, ms: duration_ms, status: status, model: gen_ai.request.model, \
    tokens: {from: gen_ai.usage.output_tokens, type: int}, request: gen_ai.input.messages, answer: gen_ai.output.messages}";

const REDACTED: &str = "redact: [{field: request, patterns: [phone_cn, id_cn, email]}, \
    {field: answer, patterns: [phone_cn, id_cn, email]}]";

/// The captures of a file, each of which begins with the oldest record; `more` is what all of them have besides.
pub(super) fn captures(more: &str) -> String {
    let lines = CAPTURES.replace("REDACTED", REDACTED);
    let lines = lines.lines().filter(|line| !line.is_empty()).map(|line| {
        let tenants = if line.contains("tenants:") { "" } else { ", tenants: ['*']" };
        let line = line.strip_suffix('}').unwrap_or(line);
        format!("{line}{tenants}, fields: {FIELDS}, from: beginning{more}}}\n")
    });
    format!("captures:\n{}", lines.collect::<String>())
}

/// The bus, the room's folders, and the room while it runs.
pub(super) struct Rig {
    pub(super) bus: Bus,
    data: PathBuf,
    captures: PathBuf,
    telemetry: Telemetry,
}

/// A room at work.
pub(super) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), weir_reflow::Error>>,
}

impl Rig {
    /// `most_bytes` is what the bus keeps of the spans.
    pub(super) async fn open(folder: &Path, captures: &str, most_bytes: u64) -> anyhow::Result<Self> {
        let file = folder.join("captures.yaml");
        std::fs::write(&file, captures)?;
        let retention = Retention { size: Some(most_bytes), ..Retention::default() };
        let options = weir_bus::Options { retention, ..weir_bus::Options::default() };
        let bus = Bus::open(&options, folder).await?;
        bus.ensure_topics(&[bus.topic_spec(topic::SPANS)]).await?;
        Ok(Self { bus, data: folder.to_owned(), captures: file, telemetry: Telemetry::detached()? })
    }

    /// Writes so many of the records, over and over, and waits until they are durable; their bytes.
    pub(super) async fn fill(&self, records: &[Vec<u8>], count: usize) -> anyhow::Result<u64> {
        let (producer, mut bytes) = (self.bus.producer()?, 0);
        for record in records.iter().cycle().take(count) {
            bytes += record.len() as u64;
            // They are let go: the flush waits for all.
            drop(producer.send(span_record(record)).await?);
        }
        producer.flush().await?;
        Ok(bytes)
    }

    pub(super) async fn start(&self) -> anyhow::Result<Running> {
        let context = Context {
            data_dir: self.data.clone(),
            meter: self.telemetry.meter(),
            health: Health::default(),
            auth: Auth::off(),
        };
        let options = Options { captures: vec![self.captures.display().to_string()], ..Options::default() };
        let room = Reflow::open(options, context, self.bus.clone()).await?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(room.run(stop.clone()));
        Ok(Running { stop, task })
    }

    /// The folder of all datasets.
    pub(super) fn datasets(&self) -> PathBuf {
        self.data.join("datasets")
    }

    /// Rows that are listed, by capture; `None` as long as not all captures have gone through all that is on the bus.
    pub(super) async fn listed(&self) -> anyhow::Result<Option<BTreeMap<String, u64>>> {
        let store = Store::open(None, &self.data)?;
        let mut rows = BTreeMap::new();
        for name in store.datasets().await? {
            let Some((manifest, _)) = store.manifest(&name).await? else { return Ok(None) };
            for number in 0..self.bus.partitions(topic::SPANS).await? {
                let (_, end) = self.bus.offsets(&Partition::new(topic::SPANS, number)).await?;
                let position = manifest.positions.get(&format!("{}/{number}", topic::SPANS));
                if end > 0 && position.is_none_or(|position| *position < end) {
                    return Ok(None);
                }
            }
            rows.insert(name, manifest.files.iter().map(|file| file.rows).sum());
        }
        Ok((rows.len() == CAPTURES.lines().filter(|line| !line.is_empty()).count()).then_some(rows))
    }

    /// What a counter of the room stands at, over all captures.
    pub(super) fn counted(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.telemetry.metrics()?;
        let own = text.lines().filter(|line| line.starts_with(name));
        Ok(own.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
    }
}

impl Running {
    /// Stops the room; what is open is listed then.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.task.await??)
    }
}

/// A record of spans for the bus, in no order with others.
pub(super) fn span_record(value: &[u8]) -> Record {
    Record { topic: topic::SPANS.into(), value: value.to_vec().into(), ..Record::default() }
}

/// Waits until this process has used next to no CPU for a while; how long ago that began.
pub(super) async fn until_quiet(within: Duration) -> anyhow::Result<Duration> {
    const STEP: Duration = Duration::from_millis(100);
    const QUIET: Duration = Duration::from_millis(1500);
    let end = Instant::now() + within;
    let (mut busy, mut cpu) = (Instant::now(), crate::cpu_seconds());
    while busy.elapsed() < QUIET {
        anyhow::ensure!(Instant::now() < end, "the room is still at work after {within:?}");
        tokio::time::sleep(STEP).await;
        let now = crate::cpu_seconds();
        if now - cpu > STEP.as_secs_f64() / 20.0 {
            busy = Instant::now();
        }
        cpu = now;
    }
    Ok(busy.elapsed())
}

/// Memory of this process that is in RAM.
pub(super) fn rss_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok((kib * 1.024 / 10.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_captures_are_ten_that_can_work() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("captures.yaml");
        std::fs::write(&file, captures(", roll: {age: 1s}")).unwrap();
        let options = Options { captures: vec![file.display().to_string()], ..Options::default() };
        assert_eq!(options.check_files(), Ok(10));
    }
}
