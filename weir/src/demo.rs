//! `--demo`: a few AI services beside weir, gently, so that a newcomer sees a line, a trace and an alert.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use weir::load::lines::{Format, Line, SERVICES};
use weir::load::spans::{Call, Distribution, request};
use weir_proto::otlp::collector::trace::v1::trace_service_client::TraceServiceClient;
use weir_service::time;

use crate::cli::Target;
use crate::config::Config;
use crate::run::Addresses;

const TENANTS: [&str; 2] = ["acme", "globex"];
const TICK: Duration = Duration::from_millis(250);
/// From here on the first interface is slow.
const SLOW_FROM: u64 = 16;
const RULES: &str = "\
groups:
  - name: demo
    interval: 1s
    rules:
      - alert: InterfaceSlow
        expr: histogram_quantile(0.99, sum by (service, interface) (rate(weir_call_duration_seconds[10s]))) > 1.2
        for: 5s
        labels: {severity: page}
        annotations: {summary: 'P99 of {{ $labels.interface }} is {{ $value }} s'}
";

const PRICES: &str = "\
currency: CNY
prices:
  - {service: ocr, per_call: '0.02'}
  - {per_call: '0.01', per_1k_input_tokens: '0.5', per_1k_output_tokens: '2'}
";

/// The calls that the alert is about.
const CAPTURES: &str = "\
captures:
  - name: slow-calls
    source: spans
    query: 'kind:server AND duration:>1s'
    tenants: [acme, globex]
    fields: {tenant: tenant, service: service, interface: interface, ms: duration_ms, status: status, trace: trace_id}
    roll: {age: 10s}
    format: jsonl
";

/// Where the demo's files lie; a folder of its own is removed at the end.
#[derive(Debug)]
pub(crate) struct Demo {
    data_dir: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Demo {
    /// Makes the folder and the rule file.
    pub(crate) fn prepare(data_dir: Option<&Path>) -> anyhow::Result<Self> {
        let temporary =
            if data_dir.is_none() { Some(tempfile::Builder::new().prefix("weir-demo-").tempdir()?) } else { None };
        let data_dir = match (&temporary, data_dir) {
            (Some(folder), _) => folder.path().to_owned(),
            (None, Some(folder)) => folder.to_owned(),
            (None, None) => anyhow::bail!("no folder for the demo"),
        };
        let demo = Self { data_dir, temporary };
        let logs = demo.folder().join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        std::fs::write(demo.folder().join("rules.yaml"), RULES)?;
        std::fs::write(demo.folder().join("prices.yaml"), PRICES)?;
        std::fs::write(demo.folder().join("captures.yaml"), CAPTURES)?;
        Ok(demo)
    }

    fn folder(&self) -> PathBuf {
        self.data_dir.join("demo")
    }

    /// Adds the demo's files and rules to what is configured.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.data_dir.clone_from(&self.data_dir);
        config.collector.files.push(weir_collector::options::FileOptions {
            include: vec![self.folder().join("logs/*.log").display().to_string()],
            format: weir_collector::options::Format::Cri,
            ..weir_collector::options::FileOptions::default()
        });
        for tenant in TENANTS {
            let namespaces = &mut config.collector.tenant.namespaces;
            namespaces.entry(tenant.to_owned()).or_insert_with(|| tenant.to_owned());
        }
        config.alerter.rules.push(self.folder().join("rules.yaml").display().to_string());
        if let Some(usage) = &mut config.usage {
            usage.prices.get_or_insert_with(|| self.folder().join("prices.yaml"));
        }
        if let Some(reflow) = &mut config.reflow {
            reflow.captures.push(self.folder().join("captures.yaml").display().to_string());
        }
    }

    /// Writes and sends until `stop`.
    pub(crate) fn start(&self, addresses: &Addresses, stop: &CancellationToken) -> JoinHandle<()> {
        let (folder, addresses, stop) = (self.folder(), addresses.clone(), stop.clone());
        let temporary = self.temporary.is_some();
        tokio::spawn(async move {
            tokio::select! {
                result = play(&folder, &addresses, temporary) => if let Err(error) = result {
                    tracing::error!(error = format!("{error:#}"), "the demo's services stopped");
                },
                () = stop.cancelled() => {}
            }
        })
    }
}

async fn play(folder: &Path, addresses: &Addresses, temporary: bool) -> anyhow::Result<()> {
    let endpoint = addresses.otlp_grpc.clone().context("the demo sends its spans over OTLP/gRPC, which is off")?;
    let channel = Endpoint::from_shared(endpoint)?.timeout(Duration::from_secs(10)).connect_lazy();
    let mut services = Services::new(folder, TraceServiceClient::new(channel))?;
    let mut ticks = tokio::time::interval(TICK);
    let mut is_explained = false;
    for tick in 0_u64.. {
        ticks.tick().await;
        let taken = services.tick(tick).await?;
        if let Some(trace) = taken.filter(|_| !is_explained) {
            explain(folder, addresses, &trace, temporary)?;
            is_explained = true;
        }
    }
    Ok(())
}

struct Services {
    rng: Xoshiro256PlusPlus,
    files: Vec<File>,
    tenants: Vec<String>,
    client: TraceServiceClient<Channel>,
    seq: u64,
}

impl Services {
    fn new(folder: &Path, client: TraceServiceClient<Channel>) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for tenant in TENANTS {
            for service in SERVICES {
                let id = format!("{:064x}", files.len() + 1);
                let path = folder.join(format!("logs/{service}-0_{tenant}_{service}-{id}.log"));
                let file = File::options().create(true).append(true).open(&path);
                files.push(file.with_context(|| format!("cannot write {}", path.display()))?);
            }
        }
        let tenants = TENANTS.map(str::to_owned).to_vec();
        // Ids must differ from those of an earlier run on the same folder.
        let rng = Xoshiro256PlusPlus::seed_from_u64(time::now_unix_nano() as u64);
        Ok(Self { rng, files, tenants, client, seq: 0 })
    }

    /// A few lines and calls; gives the trace id of one of the calls, if they were taken.
    async fn tick(&mut self, tick: u64) -> anyhow::Result<Option<String>> {
        let now = time::now_unix_nano();
        for _ in 0..3 {
            let file = self.seq as usize % self.files.len();
            let line = Line::generate(&mut self.rng, file % SERVICES.len(), self.seq, 0);
            self.write(file, &line, now)?;
        }
        let mut calls = Vec::new();
        for _ in 0..6 {
            let mut call = Call::generate(&mut self.rng, TENANTS.len(), SERVICES.len(), Distribution::Lognormal, 0.01);
            if call.interface == 0 && tick >= SLOW_FROM {
                call.duration = call.duration.max(1_500_000_000);
                let text = format!(
                    "WARN {} slow call 调用过慢 route={} ms={} trace_id={}",
                    call.service(),
                    call.route(),
                    call.duration / 1_000_000,
                    hex(&call.trace_id)
                );
                self.write(call.tenant * SERVICES.len(), &Line { stderr: true, text }, now)?;
            }
            calls.push((call, now as u64));
        }
        let first = calls.first().map(|(call, _)| hex(&call.trace_id));
        // A demo need not insist: what is refused here was told by the collector.
        if let Err(status) = self.client.export(request(&calls, &self.tenants, 3)).await {
            tracing::debug!(%status, "the demo's spans were not taken");
            return Ok(None);
        }
        Ok(first)
    }

    fn write(&mut self, file: usize, line: &Line, now: i64) -> anyhow::Result<()> {
        let mut text = Vec::new();
        line.wrap(&mut text, Format::Cri, &time::format(now), None);
        if let Some(file) = self.files.get_mut(file) {
            file.write_all(&text).context("cannot write the demo's logs")?;
        }
        self.seq += 1;
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn explain(folder: &Path, addresses: &Addresses, trace: &str, temporary: bool) -> anyhow::Result<()> {
    let program = program();
    // In a profile the user may have another weir.
    let url = if Target::is_found_at(&addresses.http) { String::new() } else { format!(" --url {}", addresses.http) };
    let removed = if temporary { "removed at the end" } else { "kept" };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "
weir is running, and three AI services (ocr, asr, nlp) of two tenants (acme, globex) write logs and send spans.

  console     {http}   (in a browser; the HTTP API is there too)
  OTLP/gRPC   {grpc}
  OTLP/HTTP   {otlp_http}
  data        {data} ({removed})

In another terminal:

  {program} search '\"slow call\"'{url} --limit 5
      the five newest lines of an interface that becomes slow in a few seconds (also: 过慢)
  {program} trace {trace}{url}
      one call as a tree of four spans with their durations
  {program} alerts{url}
      in about 20 seconds: the alert InterfaceSlow, pending and then firing
  {program} usage{url} --by tenant,service
      who called what, how often, how well, and for how much
  {program} capture pull slow-calls{url} --out slow-calls
      in about 20 seconds: the slow calls as a dataset, checked against its manifest

Ctrl-C ends it.
",
        http = addresses.http,
        grpc = addresses.otlp_grpc.as_deref().unwrap_or("off"),
        otlp_http = addresses.otlp_http.as_deref().unwrap_or("off"),
        data = folder.parent().unwrap_or(folder).display(),
    )?;
    Ok(())
}

/// `weir` where the shell would find this very program by that name, else its path.
fn program() -> String {
    let Ok(current) = std::env::current_exe() else { return "weir".to_owned() };
    let named = std::env::args_os().next().is_some_and(|name| name == "weir");
    let path = std::env::vars_os().find(|(name, _)| name == "PATH").map(|(_, value)| value).unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("weir")).find(|path| path.is_file());
    let same =
        found.and_then(|path| path.canonicalize().ok()).is_some_and(|path| Some(path) == current.canonicalize().ok());
    if named || same { "weir".to_owned() } else { current.display().to_string() }
}
