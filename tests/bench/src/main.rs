//! weir's benchmarks: one JSON line per figure.
//!
//! Every case runs in a process of its own, so that CPU seconds and the peak of memory are its own.

mod floor;

use std::io::Write as _;
use std::process::Command;
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
}

/// What a case did in its timed part.
struct Work {
    records: u64,
    bytes: u64,
}

/// A case that is ready to run; making it is not timed.
type Ready = Box<dyn FnOnce() -> anyhow::Result<Work>>;

/// Room, case, how it is made ready.
type Case = (&'static str, &'static str, fn(bool) -> anyhow::Result<Ready>);

const CASES: &[Case] = &[("collector", "floor", floor::cri)];

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let chosen = |(room, case, _): &&Case| {
        (cli.room == "all" || cli.room == *room) && cli.case.as_deref().is_none_or(|name| name == *case)
    };
    let cases: Vec<&Case> = CASES.iter().filter(chosen).collect();
    let names = || CASES.iter().map(|(room, case, _)| format!("{room} --case {case}")).collect::<Vec<_>>().join(", ");
    anyhow::ensure!(!cases.is_empty(), "no such case; there are: {}", names());
    for (room, case, make) in cases {
        if cli.child {
            return run(room, case, make(cli.smoke)?);
        }
        let mut child = Command::new(std::env::current_exe()?);
        child.args([room, "--case", case, "--child"]);
        if cli.smoke {
            child.arg("--smoke");
        }
        anyhow::ensure!(child.status()?.success(), "{room} {case} failed");
    }
    Ok(())
}

fn run(room: &str, case: &str, ready: Ready) -> anyhow::Result<()> {
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    let work = ready()?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let line = json!({
        "bench": room,
        "case": case,
        "records": work.records,
        "bytes": work.bytes,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_rss_mb": peak_rss_mb()?,
        // Nothing can be said of a case that is shorter than the clock's step: null.
        "records_per_cpu_second": (cpu > 0.0).then(|| (work.records as f64 / cpu).round()),
        "mb_per_cpu_second": (cpu > 0.0).then(|| (work.bytes as f64 / cpu / 1e6).round()),
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// User and system time of this process, of threads that ended too; Linux counts it in hundredths.
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may hold spaces; utime and stime are the 12th and 13th fields behind it.
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat has no name")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let mut next = || ticks.next().context("/proc/self/stat is short");
    Ok((next()?? + next()??) / 100.0)
}

fn peak_rss_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok((kib * 1.024 / 10.0).round() / 100.0)
}
