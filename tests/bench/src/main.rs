//! weir's benchmarks: one JSON line per figure.
//!
//! Every case runs in a process of its own, so that CPU seconds and the peak of memory are its own.

mod alerter;
mod collector;
mod console;
mod end_to_end;
mod floor;
mod indexer;
mod real_lines;
mod reflow;
mod service;
mod traces;
mod usage;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;

/// weir's benchmarks.
#[derive(Debug, Parser)]
struct Cli {
    /// Room, or `all`
    room: String,
    /// One case alone
    #[arg(long)]
    case: Option<String>,
    /// Small, to see that it works
    #[arg(long)]
    smoke: bool,
    /// Run the case in this process
    #[arg(long, hide = true)]
    child: bool,
    /// Feed the case, which runs in another process
    #[arg(long, hide = true)]
    feed: Option<String>,
}

/// Why a case cannot run on this machine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Skipped(String);

/// A case that runs only where somebody asks for it, which no machine has to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotAsked(&'static str);

/// What a case did in its timed part.
struct Work {
    records: u64,
    bytes: u64,
    /// Figures of this case alone.
    more: serde_json::Map<String, serde_json::Value>,
}

/// A case that is ready to run; making it is not timed.
type Ready = Box<dyn FnOnce() -> anyhow::Result<Work>>;

/// One figure to be had.
struct Case {
    room: &'static str,
    name: &'static str,
    /// Case of the same room that it is measured against.
    floor: Option<&'static str>,
    make: fn(bool) -> anyhow::Result<Ready>,
}

const CASES: &[Case] = &[
    Case { room: "collector", name: "floor", floor: None, make: floor::cri },
    Case { room: "collector", name: "floor-lz4", floor: None, make: floor::lz4 },
    Case { room: "collector", name: "floor-multiline", floor: None, make: floor::multiline },
    Case { room: "collector", name: "cri-512-null", floor: Some("floor"), make: collector::cri_512 },
    Case { room: "collector", name: "cri-512-kafka", floor: Some("floor-lz4"), make: collector::cri_512_kafka },
    Case { room: "collector", name: "peer-rsyslog", floor: Some("cri-512-kafka"), make: collector::rsyslog },
    Case { room: "collector", name: "peer-filebeat", floor: Some("cri-512-kafka"), make: collector::filebeat },
    Case { room: "collector", name: "cri-200-null", floor: None, make: collector::cri_200 },
    Case { room: "collector", name: "docker-null", floor: None, make: collector::docker },
    Case { room: "collector", name: "multiline-null", floor: Some("floor-multiline"), make: collector::multiline },
    Case { room: "collector", name: "real-null", floor: None, make: collector::real },
    Case { room: "collector", name: "otlp-passthrough", floor: None, make: collector::passthrough },
    Case { room: "collector", name: "rate-10mb", floor: None, make: collector::rate_10mb },
    Case { room: "collector", name: "noisy", floor: None, make: collector::noisy },
    Case { room: "collector", name: "old-files", floor: None, make: collector::old_files },
    Case { room: "collector", name: "idle", floor: None, make: collector::idle },
    Case { room: "alerter", name: "floor", floor: None, make: alerter::floor },
    Case { room: "alerter", name: "spans", floor: Some("floor"), make: alerter::fold },
    Case { room: "alerter", name: "floor-all-server", floor: None, make: alerter::floor_all_server },
    Case { room: "alerter", name: "spans-all-server", floor: Some("floor-all-server"), make: alerter::fold_all_server },
    Case { room: "alerter", name: "quantiles", floor: None, make: alerter::quantiles },
    Case { room: "alerter", name: "rules-prometheus", floor: None, make: alerter::prometheus_rules },
    Case { room: "alerter", name: "rules", floor: Some("rules-prometheus"), make: alerter::rules },
    Case { room: "alerter", name: "rules-histogram-prometheus", floor: None, make: alerter::prometheus_histograms },
    Case {
        room: "alerter",
        name: "rules-histogram",
        floor: Some("rules-histogram-prometheus"),
        make: alerter::histograms,
    },
    Case { room: "alerter", name: "series", floor: None, make: alerter::series },
    Case { room: "alerter", name: "page-latency", floor: None, make: alerter::latency },
    Case { room: "alerter", name: "scaling", floor: None, make: alerter::scaling },
    Case { room: "alerter", name: "page-latency-kafka", floor: None, make: alerter::latency_kafka },
    Case { room: "indexer", name: "plain-tantivy", floor: None, make: indexer::plain_tantivy },
    Case { room: "indexer", name: "generated", floor: Some("plain-tantivy"), make: indexer::generated },
    Case { room: "indexer", name: "real", floor: None, make: indexer::real },
    Case { room: "indexer", name: "query-common", floor: None, make: indexer::last_of_common },
    Case { room: "indexer", name: "query-rare", floor: None, make: indexer::last_of_rare },
    Case { room: "indexer", name: "query-id", floor: None, make: indexer::id },
    Case { room: "indexer", name: "query-count", floor: None, make: indexer::count },
    Case { room: "indexer", name: "query-count-two", floor: None, make: indexer::count_two },
    Case { room: "indexer", name: "query-count-not", floor: None, make: indexer::count_not },
    Case { room: "indexer", name: "query-count-phrase", floor: None, make: indexer::count_phrase },
    Case { room: "indexer", name: "query-count-ids", floor: None, make: indexer::count_ids },
    Case { room: "indexer", name: "query-count-range", floor: None, make: indexer::count_range },
    Case { room: "indexer", name: "query-fields", floor: None, make: indexer::fields },
    Case { room: "indexer", name: "query-histogram", floor: None, make: indexer::histogram },
    Case { room: "indexer", name: "query-histogram-all", floor: None, make: indexer::histogram_of_all },
    Case { room: "indexer", name: "query-count-chinese", floor: None, make: indexer::count_chinese },
    Case { room: "indexer", name: "query-trace", floor: None, make: indexer::trace },
    Case { room: "indexer", name: "query-part", floor: None, make: indexer::part },
    Case { room: "indexer", name: "points", floor: None, make: indexer::points },
    Case { room: "indexer", name: "query-points-series", floor: None, make: indexer::one_series },
    Case { room: "indexer", name: "query-points-chart", floor: None, make: indexer::chart },
    Case { room: "indexer", name: "unread-pages", floor: None, make: indexer::unread_pages },
    Case { room: "indexer", name: "light-beside-heavy", floor: None, make: indexer::light_beside_heavy },
    Case { room: "service", name: "without-auth", floor: None, make: service::without },
    Case { room: "service", name: "auth", floor: Some("without-auth"), make: service::with_tokens },
    Case { room: "usage", name: "rows", floor: None, make: usage::rows },
    Case { room: "usage", name: "rows-postgres", floor: None, make: usage::rows_postgres },
    Case { room: "usage", name: "report", floor: None, make: usage::report },
    Case { room: "usage", name: "ratelimit", floor: None, make: usage::ratelimit },
    Case { room: "reflow", name: "floor", floor: None, make: reflow::floor },
    Case { room: "reflow", name: "captures", floor: Some("floor"), make: reflow::captures },
    Case { room: "reflow", name: "redact", floor: None, make: reflow::redact },
    Case { room: "reflow", name: "stalled", floor: None, make: reflow::stalled },
    Case { room: "console", name: "first-view", floor: None, make: console::first_view },
    Case { room: "console", name: "tail", floor: None, make: console::tail },
    Case { room: "end-to-end", name: "logs", floor: None, make: end_to_end::logs },
    Case { room: "end-to-end", name: "spans", floor: None, make: end_to_end::spans },
];

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let chosen = |case: &&Case| {
        (cli.room == "all" || cli.room == case.room) && cli.case.as_deref().is_none_or(|name| name == case.name)
    };
    let cases: Vec<&Case> = CASES.iter().filter(chosen).collect();
    let names =
        || CASES.iter().map(|case| format!("{} --case {}", case.room, case.name)).collect::<Vec<_>>().join(", ");
    anyhow::ensure!(!cases.is_empty(), "no such case; there are: {}", names());
    let mut seen: Vec<(&str, &str, serde_json::Value)> = Vec::new();
    for case in cases {
        if let Some(to) = &cli.feed {
            return if case.room == "usage" {
                usage::feed(to, cli.smoke)
            } else {
                collector::feed(case.name, to, cli.smoke)
            };
        }
        if cli.child {
            return match (case.make)(cli.smoke) {
                Ok(ready) => run(case, ready),
                Err(error) if error.is::<Skipped>() => {
                    weir_tests::skip(&format!("{} {}", case.room, case.name), &error.to_string());
                    Ok(())
                }
                Err(error) if error.is::<NotAsked>() => {
                    writeln!(std::io::stderr(), "skipped: {} {}: {error}", case.room, case.name)?;
                    Ok(())
                }
                Err(error) => Err(error),
            };
        }
        let Some(mut figure) = measure(case.room, case.name, cli.smoke)? else { continue };
        if let Some(name) = case.floor {
            let floor = match seen.iter().find(|(room, seen, _)| *room == case.room && *seen == name) {
                Some((_, _, floor)) => floor.clone(),
                None => measure(case.room, name, cli.smoke)?.unwrap_or_default(),
            };
            let rate = |figure: &serde_json::Value| figure["records_per_cpu_second"].as_f64();
            // CPU seconds for the same number of records.
            figure["floor_ratio"] = rate(&floor).zip(rate(&figure)).map(|(floor, rate)| floor / rate).into();
        }
        writeln!(std::io::stdout(), "{figure}")?;
        seen.push((case.room, case.name, figure));
    }
    Ok(())
}

/// Runs a case in a process of its own, with a folder for what it writes; `None` if it was skipped, which the process
/// has said.
fn measure(room: &str, name: &str, smoke: bool) -> anyhow::Result<Option<serde_json::Value>> {
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(std::env::current_exe()?);
    child.args([room, "--case", name, "--child"]).env("TMPDIR", folder.path()).stdout(Stdio::piped());
    if smoke {
        child.arg("--smoke");
    }
    let output = child.spawn()?.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "{room} {name} failed");
    if output.stdout.is_empty() {
        return Ok(None);
    }
    let figure = serde_json::from_slice(&output.stdout).with_context(|| format!("{room} {name} printed no figure"))?;
    Ok(Some(figure))
}

fn run(case: &Case, ready: Ready) -> anyhow::Result<()> {
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let work = ready()?;
    let seconds = started.elapsed().as_secs_f64();
    // A case that measures another process says so itself.
    let cpu = work.more.get("cpu_seconds").and_then(serde_json::Value::as_f64).unwrap_or(cpu_seconds() - cpu);
    let mut line = json!({
        "bench": case.room,
        "case": case.name,
        "records": work.records,
        "bytes": work.bytes,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_rss_mb": peak_rss_mb()?,
        // Nothing can be said of another process that took less than its clock's step: null.
        "records_per_cpu_second": (cpu > 0.0).then(|| (work.records as f64 / cpu).round()),
        "mb_per_cpu_second": (cpu > 0.0).then(|| (work.bytes as f64 / cpu / 1e6).round()),
    });
    for (name, value) in work.more {
        line[name] = value;
    }
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// User and system time of this process, of threads that ended too.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The same of another process; Linux counts it in hundredths.
fn cpu_seconds_of(process: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in brackets, may hold spaces; utime and stime are the 12th and 13th fields behind it.
    let (_, fields) = stat.rsplit_once(')').context("/proc/…/stat has no name")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let mut next = || ticks.next().context("/proc/…/stat is short");
    Ok((next()?? + next()??) / 100.0)
}

fn peak_rss_mb() -> anyhow::Result<f64> {
    peak_rss_mb_of("self")
}

fn peak_rss_mb_of(process: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok((kib * 1.024 / 10.0).round() / 100.0)
}
