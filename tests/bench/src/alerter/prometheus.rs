//! Prometheus on the same rules over the same series, for the ratio of CPU seconds a round: `floor_ratio` of `rules` and
//! `rules-histogram` is weir's over its.
//!
//! It gets the series by remote write, those of the next minutes too, since it evaluates by the clock. It is the program
//! `prometheus` on the path: Debian's package of that name has it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use prost::Message as _;
use serde_json::json;
use tempfile::TempDir;

use super::rules::{BUCKETS, INSTANCES, Rules, bounds, bucket_counts, counted};
use super::{OF_METRIC, STEP, instance, x};
use crate::{Ready, Skipped, Work, cpu_seconds_of, peak_rss_mb_of};

const PATIENCE: Duration = Duration::from_mins(3);
/// What the first evaluation sees, and how long the last may come later.
const BEFORE_SECONDS: u64 = 320;
const AFTER_SECONDS: u64 = 480;

#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// A series of which `value` gives the total after so many seconds.
fn series(begin: u64, labels: &[(&str, &str)], value: impl Fn(u64) -> f64) -> TimeSeries {
    let all = labels.iter().chain(&[("service", "unknown_service"), ("tenant", "default")]);
    let mut labels: Vec<Label> =
        all.map(|(name, value)| Label { name: (*name).to_owned(), value: (*value).to_owned() }).collect();
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    let times = (0..=BEFORE_SECONDS + AFTER_SECONDS).step_by(STEP as usize);
    let sample = |at: u64| Sample { value: value(at), timestamp: ((begin + at) * 1000) as i64 };
    TimeSeries { labels, samples: times.map(sample).collect() }
}

/// The peer of `rules`.
pub(crate) fn rules(smoke: bool) -> anyhow::Result<Ready> {
    run(Rules::counters(smoke), smoke, |at, begin| {
        let of = |of: usize| {
            let (name, x, instance) = (format!("m{at}_total"), x(of), instance(of));
            series(begin, &[("__name__", &name), ("instance", &instance), ("x", &x)], |seconds| counted(seconds, of))
        };
        (0..OF_METRIC).map(of).collect()
    })
}

/// The peer of `rules-histogram`.
pub(crate) fn histograms(smoke: bool) -> anyhow::Result<Ready> {
    let bounds: Vec<String> = bounds().iter().map(ToString::to_string).chain(["+Inf".to_owned()]).collect();
    run(Rules::histograms(smoke), smoke, move |at, begin| {
        let name = format!("b{at}_bucket");
        let of = |of: usize, bucket: usize| {
            let labels = [("__name__", &name[..]), ("instance", &instance(of)), ("le", &bounds[bucket])];
            series(begin, &labels, |seconds| bucket_counts(seconds, of)[..=bucket].iter().sum::<u64>() as f64)
        };
        (0..INSTANCES)
            .flat_map(|instance| (0..BUCKETS).map(move |bucket| (instance, bucket)))
            .map(|(i, b)| of(i, b))
            .collect()
    })
}

fn run(rules: Rules, smoke: bool, series: impl Fn(usize, u64) -> Vec<TimeSeries>) -> anyhow::Result<Ready> {
    let prometheus = Prometheus::start()?;
    let unix = || Ok::<_, anyhow::Error>(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs());
    let now = unix()?;
    for at in 0..rules.count {
        prometheus.write(&WriteRequest { timeseries: series(at, now - BEFORE_SECONDS) })?;
    }
    let (count, rounds) = (rules.count as u64, if smoke { 1 } else { 5 });
    // One round after the other; the first is not measured.
    rules.write(&prometheus.folder.path().join("rules.yaml"), "1s")?;
    prometheus.ask("POST /-/reload", &[], &[])?;
    prometheus.wait_for(count)?;
    Ok(Box::new(move || {
        let id = prometheus.process.id().to_string();
        let (before, cpu) = (prometheus.evaluations()?, cpu_seconds_of(&id)?);
        let after = prometheus.wait_for(before + count * rounds)?;
        let cpu = cpu_seconds_of(&id)? - cpu;
        // Behind the last sample there would be less and less to evaluate.
        anyhow::ensure!(unix()? <= now + AFTER_SECONDS, "the machine is too busy to compare with Prometheus");
        let records = after - before;
        let more = json!({
            "cpu_seconds": cpu,
            "cpu_seconds_a_round": cpu / (records as f64 / count as f64),
            "peak_rss_mb": peak_rss_mb_of(&id)?,
        });
        Ok(Work { records, bytes: 0, more: more.as_object().cloned().unwrap_or_default() })
    }))
}

/// A running Prometheus; ended when it is dropped.
struct Prometheus {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Prometheus {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        std::fs::write(folder.path().join("prometheus.yml"), "rule_files: [rules.yaml]\n")?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).current_dir(folder.path());
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"]);
        command.args(["--web.enable-remote-write-receiver", "--web.enable-lifecycle"]);
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = started.map_err(|_| Skipped("needs the package prometheus".to_owned()))?;
        let started = Self { folder, port, process };
        let deadline = Instant::now() + PATIENCE;
        while started.ask("GET /-/ready", &[], &[]).is_err() {
            anyhow::ensure!(Instant::now() < deadline, "Prometheus does not answer within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(started)
    }

    /// HTTP/1.0, whose answers end with the connection.
    fn ask(&self, what: &str, headers: &[&str], body: &[u8]) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (first, length) = (format!("{what} HTTP/1.0"), format!("Content-Length: {}", body.len()));
        let head = [&[first.as_str()], headers, &[length.as_str(), "", ""]].concat().join("\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split_whitespace().nth(1).unwrap_or_default();
        anyhow::ensure!(status.starts_with('2'), "{what}: {answer}");
        Ok(answer)
    }

    fn write(&self, request: &WriteRequest) -> anyhow::Result<()> {
        let headers = [
            "Content-Encoding: snappy",
            "Content-Type: application/x-protobuf",
            "X-Prometheus-Remote-Write-Version: 0.1.0",
        ];
        self.ask("POST /api/v1/write", &headers, &stored(&request.encode_to_vec())).map(drop)
    }

    /// Rules evaluated so far.
    fn evaluations(&self) -> anyhow::Result<u64> {
        let metrics = self.ask("GET /metrics", &[], &[])?;
        let line = metrics.lines().find_map(|line| {
            line.strip_prefix("prometheus_rule_evaluations_total{").and_then(|rest| rest.rsplit_once(' '))
        });
        Ok(line.map(|(_, value)| value.parse::<f64>()).transpose()?.unwrap_or(0.0) as u64)
    }

    fn wait_for(&self, evaluations: u64) -> anyhow::Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = self.evaluations()?;
            if done >= evaluations {
                return Ok(done);
            }
            anyhow::ensure!(Instant::now() < deadline, "Prometheus evaluated {done} of {evaluations} rules");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It has ended already if this fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The block format of Snappy, nothing compressed: the length, and literals of up to 65,536 bytes.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(bytes.len() + 16);
    prost::encoding::encode_varint(bytes.len() as u64, &mut block);
    for literal in bytes.chunks(1 << 16) {
        block.push(61 << 2);
        block.extend(((literal.len() - 1) as u16).to_le_bytes());
        block.extend(literal);
    }
    block
}
