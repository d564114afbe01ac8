//! The `weir` program as a process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal};
use serde::Deserialize;
use serde_json::Value;

/// Addresses of a role that is up, as its ready file gives them.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// HTTP API.
    pub http: String,
    /// OTLP/gRPC, where the role listens for it.
    #[serde(default)]
    pub otlp_grpc: Option<String>,
    /// OTLP/HTTP.
    #[serde(default)]
    pub otlp_http: Option<String>,
    /// Envoy's rate limit service, where the role serves it.
    #[serde(default)]
    pub ratelimit_grpc: Option<String>,
    /// KEDA's external scaler, where the role serves it.
    #[serde(default)]
    pub keda_grpc: Option<String>,
    /// The aggregated API of external metrics, where the role serves it.
    #[serde(default)]
    pub external_metrics: Option<String>,
}

/// One weir process with its own folder; killed when it is dropped.
#[derive(Debug)]
pub struct Weir {
    role: &'static str,
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
    arguments: Vec<&'static str>,
    child: Option<Child>,
}

/// The `weir` program: what `WEIR_BIN` names, else the one of the same profile as this executable, built where it is not
/// there.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(named) = crate::environment("WEIR_BIN") {
        return Ok(named.into());
    }
    let executable = std::env::current_exe()?;
    // target/<profile>/deps/<test>, and target/<profile>/<benchmark>
    let folder = executable.parent().context("the executable lies in no target folder")?;
    let profile = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let beside = profile.join("weir");
    if !beside.exists() {
        let cargo = crate::environment("CARGO").unwrap_or_else(|| "cargo".to_owned());
        let mut build = Command::new(cargo);
        build.args(["build", "-q", "-p", "weir"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        anyhow::ensure!(build.status()?.success(), "cargo build -p weir failed");
    }
    Ok(beside)
}

impl Weir {
    /// A process of this role (`standalone`, `collector`, …) that is not started yet. Its configuration, data, ready
    /// file and standard error lie in `folder`.
    pub fn new(role: &'static str, folder: &Path, config: &Value) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let weir =
            Self { role, folder: folder.to_owned(), environment: Vec::new(), arguments: Vec::new(), child: None };
        // JSON is YAML.
        std::fs::write(weir.folder.join("weir.yaml"), serde_json::to_vec_pretty(config)?)?;
        Ok(weir)
    }

    /// Adds variables to the environment of its next starts.
    #[must_use]
    pub fn with_environment(mut self, variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Adds arguments to the command line of its next starts.
    #[must_use]
    pub fn with_arguments(mut self, arguments: &[&'static str]) -> Self {
        self.arguments.extend(arguments);
        self
    }

    /// Where its state lies.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it, on the data that it left, without waiting.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let _ = std::fs::remove_file(self.folder.join("ready"));
        let stderr = File::options().create(true).append(true).open(self.folder.join("stderr"))?;
        let mut command = Command::new(binary()?);
        command.arg(self.role).arg("--config").arg(self.folder.join("weir.yaml"));
        command.arg("--data-dir").arg(self.folder.join("data")).arg("--ready-file").arg(self.folder.join("ready"));
        command.args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn()?);
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) -> anyhow::Result<Ready> {
        let within = Duration::from_mins(1);
        let path = self.folder.join("ready");
        let child = self.child.as_mut().context("weir was not started")?;
        let found = crate::until(within, || {
            let ended = child.try_wait().ok().flatten();
            let ready = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
            async move { ready.map(Ok).or(ended.map(Err)) }
        });
        match found.await {
            Some(Ok(ready)) => Ok(ready),
            Some(Err(status)) => anyhow::bail!("weir ended with {status} before it was ready:\n{}", self.stderr()),
            None => anyhow::bail!("weir was not ready within {within:?}:\n{}", self.stderr()),
        }
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self) -> anyhow::Result<Ready> {
        self.spawn()?;
        self.ready().await
    }

    /// Its process.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.child.as_ref().context("weir is not running")?.id())
    }

    /// The most memory that it had at any time, in bytes.
    pub fn peak(&self) -> anyhow::Result<u64> {
        self.memory("VmHWM:")
    }

    /// The memory that it has, in bytes.
    pub fn resident(&self) -> anyhow::Result<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, which: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(which)).with_context(|| format!("no {which}"))?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? << 10)
    }

    /// The CPU time that it took so far.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        // Its name may have anything in it; utime and stime are the 12th and 13th after it.
        let (_, fields) = stat.rsplit_once(')').context("no name")?;
        let times: Vec<u64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        let ticks = times.iter().sum::<u64>() as f64;
        Ok(Duration::from_secs_f64(ticks / rustix::param::clock_ticks_per_second() as f64))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid()?)?).context("no process id")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Waits for its end.
    pub async fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let child = self.child.as_mut().context("weir is not running")?;
        let status = crate::until(within, || {
            let ended = child.try_wait().ok().flatten();
            async move { ended }
        });
        let status = status.await;
        status.with_context(|| format!("weir did not end within {within:?}:\n{}", self.stderr()))
    }

    /// Asks it to stop, and waits for its end.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(Duration::from_secs(30)).await
    }

    /// What it wrote to standard error so far, over all starts.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join("stderr")).unwrap_or_default()).into_owned()
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.kill();
        if std::thread::panicking() {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "--- standard error of weir {}\n{}", self.role, self.stderr());
        }
    }
}

/// Runs `weir load …` and gives its report.
pub async fn load(arguments: &[&str]) -> anyhow::Result<Value> {
    let output =
        tokio::process::Command::new(binary()?).arg("load").args(arguments).kill_on_drop(true).output().await?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "weir load {arguments:?}: {}: {stderr}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}
