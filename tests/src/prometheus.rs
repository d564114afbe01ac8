//! A real Prometheus for tests: one server on loopback, on a free port, that scrapes nobody and takes remote writes.
//!
//! It is the program `prometheus` on the path: Debian's package `prometheus` has it.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::http::answers;
use crate::maven::output;

const START: Duration = Duration::from_secs(30);
/// Another process may take a free port before Prometheus does.
const TRIES: usize = 3;

/// A running Prometheus; ended when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Prometheus {
    /// Starts one that has nothing, and waits until it is ready.
    pub fn start() -> Result<Self> {
        Self::start_with("# EOF\n")
    }

    /// The same with the samples of an OpenMetrics text.
    pub fn start_with(openmetrics: &str) -> Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let mut prometheus = Self { folder: tempfile::tempdir()?, port, process: None };
            prometheus.load(openmetrics)?;
            match prometheus.restart() {
                Ok(()) => return Ok(prometheus),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("not tried"))).context("Prometheus does not start")
    }

    fn load(&self, openmetrics: &str) -> Result<()> {
        let samples = self.folder.path().join("samples");
        std::fs::write(&samples, openmetrics)?;
        let mut blocks = Command::new("promtool");
        blocks.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(&samples).arg(self.folder.path().join("data"));
        output(&mut blocks).map(drop).context("promtool is in Debian's package prometheus")
    }

    /// Starts it again on its port and with what it had, after [`stop`](Self::stop).
    pub fn restart(&mut self) -> Result<()> {
        let folder = self.folder.path();
        std::fs::write(folder.join("prometheus.yaml"), "global: {}\n")?;
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", folder.join("prometheus.yaml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        // Under the path that weir's API has, so that both are asked in one way.
        command.arg(format!("--web.listen-address=127.0.0.1:{}", self.port)).arg("--web.route-prefix=/prometheus");
        command.args(["--web.enable-remote-write-receiver", "--log.level=warn"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().context("cannot run prometheus: it is in Debian's package prometheus")?);
        let deadline = Instant::now() + START;
        while !answers(self.port, "/prometheus/-/ready") {
            let ended = self.process.as_mut().map(Child::try_wait).transpose()?.flatten();
            ensure!(ended.is_none(), "Prometheus ended with {ended:?}: {}", self.log());
            ensure!(Instant::now() < deadline, "Prometheus is not ready within {START:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Where it is; its API is below `/prometheus/api/v1`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it at once: connections to it are refused.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // There is nobody left to report it to.
        let _ = self.stop();
    }
}
