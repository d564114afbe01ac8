//! `weir rules replay`: what rules would have fired over what the bus still holds.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use weir_alerter::replay::{Progress, Replay, ReplayedAlert, ReplayedRule, Report, Window};
use weir_alerter::rules::load_files;
use weir_bus::{Broker, Bus};

use crate::cli::{plain, say};
use crate::{EXIT_USAGE, config};

/// How long Kafka may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How often a terminal is told how far it is.
const REPORT: Duration = Duration::from_millis(500);

/// Arguments of `weir rules replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rule files, or globs of files
    #[arg(required = true)]
    files: Vec<String>,
    /// From this event time on: RFC 3339, unix seconds, or relative (now-24h)
    #[arg(long, value_parser = time)]
    start: i64,
    /// Up to this event time
    #[arg(long, value_parser = time, default_value = "now")]
    end: i64,
    /// Configuration, which says where the bus is; the defaults where it is not given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the embedded bus lies; wins over the configuration's data_dir
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Unix milliseconds.
fn time(text: &str) -> Result<i64, String> {
    weir_service::time::parse(text, weir_service::time::now_unix_nano()).map(|nano| nano.div_euclid(1_000_000))
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.end <= args.start {
        writeln!(std::io::stderr(), "weir: --end must be after --start")?;
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let mut config = config::load(args.config.as_deref())?;
    if let Some(folder) = &args.data_dir {
        config.data_dir.clone_from(folder);
    }
    let rules = match load_files(&args.files) {
        Ok(rules) => rules,
        Err(errors) => bail!("{}", super::explain(&errors)),
    };
    if rules.groups.is_empty() {
        bail!("{}: no rules found", args.files.join(" "));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let bus = open(&config).await?;
        let (options, window) = (config.alerter, Window { start_ms: args.start, end_ms: args.end });
        let replay = Replay { options, rules, window, sees: Arc::new(|_| true), within: None };
        let mut shown = Shown::new(args.json);
        let report = replay.run(&bus, |progress| shown.tell(progress)).await;
        shown.clear();
        report.map_err(anyhow::Error::new)
    })?;
    if args.json {
        say(&report.to_json().to_string())?;
    } else {
        print(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(config: &config::Config) -> anyhow::Result<Bus> {
    let bus = Bus::open_to_read(&config.bus, &config.data_dir).await;
    let bus = match bus {
        Err(error @ weir_bus::Error::Locked(_)) => {
            return Err(error).context(
                "the embedded bus can be read while no weir runs on it; a running one replays rules itself: \
                 POST /api/v1/rules/replay",
            );
        }
        bus => bus?,
    };
    match config.bus.broker {
        Broker::Null => bail!("bus.broker is null, which keeps nothing to replay over"),
        Broker::Kafka if !bus.answers(ANSWER).await => {
            bail!("Kafka at {} does not answer", config.bus.brokers.as_deref().unwrap_or("?"))
        }
        Broker::Kafka | Broker::Embedded => Ok(bus),
    }
}

/// Progress, on a terminal.
struct Shown {
    is_shown: bool,
    last: Instant,
}

impl Shown {
    fn new(is_json: bool) -> Self {
        Self { is_shown: !is_json && std::io::stderr().is_terminal(), last: Instant::now() }
    }

    fn tell(&mut self, progress: Progress) {
        if self.is_shown && self.last.elapsed() >= REPORT {
            self.last = Instant::now();
            let Progress { records, of, evaluated_ms } = progress;
            let evaluated = evaluated_ms.map_or_else(String::new, |ms| format!(", evaluated up to {}", when(ms)));
            let _ = write!(std::io::stderr(), "\r{records} of at most {of} records{evaluated} ");
        }
    }

    fn clear(&self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn when(unix_ms: i64) -> String {
    weir_service::time::format(unix_ms.saturating_mul(1_000_000))
}

fn print(report: &Report) -> anyhow::Result<()> {
    let (from, until) = report.evaluated_ms;
    say(&format!("evaluated from {} to {}, over {} records", when(from), when(until), report.records))?;
    for note in &report.notes {
        say(&format!("note: {}", plain(note)))?;
    }
    if report.alerts.is_empty() {
        say("no alerts")?;
    }
    for alert in &report.alerts {
        if !say(&line(alert))? {
            return Ok(());
        }
    }
    say(&format!("{:>8} {:>8} {:>8} {:>12}  {:<23} rule", "firings", "alerts", "pages", "pages/week", "detection"))?;
    for rule in &report.rules {
        if !say(&sums(report, rule))? {
            return Ok(());
        }
    }
    Ok(())
}

fn line(alert: &ReplayedAlert) -> String {
    let name = alert.labels.get("alertname").map_or("", String::as_str);
    let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    let or_before = if alert.is_older { " or before" } else { "" };
    let labels = labels.join(", ");
    let pending = when(alert.pending_ms);
    let fired = match (alert.fired_ms, alert.waited_ms) {
        (Some(fired), Some(waited)) => format!(", fired {} (known {} later)", when(fired), seconds(waited)),
        _ => String::new(),
    };
    let ended = match (alert.fired_ms, alert.ended_ms) {
        (Some(_), Some(ended)) => format!(", resolved {}", when(ended)),
        (None, Some(ended)) => format!(", inactive {}", when(ended)),
        (Some(_), None) => ", fires on".to_owned(),
        (None, None) => String::new(),
    };
    plain(&format!("{name} {{{labels}}} pending {pending}{or_before}{fired}{ended}, greatest value {}", alert.greatest))
}

fn sums(report: &Report, rule: &ReplayedRule) -> String {
    let (sum, greatest, count) = rule.detection_ms;
    let detection = match i64::try_from(count) {
        Ok(count) if count > 0 => format!("mean {}, max {}", seconds(sum / count), seconds(greatest)),
        _ => "-".to_owned(),
    };
    let failed = rule
        .error
        .as_ref()
        .map_or_else(String::new, |error| format!("; {} evaluations failed, the last one: {error}", rule.failures));
    plain(&format!(
        "{:>8} {:>8} {:>8} {:>12.1}  {detection:<23} {} ({}, {}:{}){failed}",
        rule.firings,
        rule.alerts,
        rule.pages,
        report.pages_per_week(rule),
        rule.name,
        rule.group,
        rule.file.display(),
        rule.line
    ))
}

fn seconds(ms: i64) -> String {
    format!("{:.1}s", ms as f64 / 1000.0)
}
