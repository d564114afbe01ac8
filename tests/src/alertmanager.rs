//! A real Alertmanager for tests: one server on loopback, on a free port, that has no peers.
//!
//! It is the program `prometheus-alertmanager` on the path: Debian's package of this name has it, and `amtool`.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::http::answers;

const PROGRAM: &str = "prometheus-alertmanager";
const START: Duration = Duration::from_secs(30);
/// Another process may take a free port before Alertmanager does.
const TRIES: usize = 3;

/// A running Alertmanager; ended when it is dropped.
#[derive(Debug)]
pub struct Alertmanager {
    folder: TempDir,
    port: u16,
    process: Child,
}

/// Whether it is installed.
pub fn is_there() -> bool {
    Command::new(PROGRAM).arg("--version").output().is_ok() && Command::new("amtool").arg("--version").output().is_ok()
}

impl Alertmanager {
    /// Starts one with a configuration file, and waits until it is ready. `external_url` has no path.
    pub fn start(config: &Path, external_url: &str) -> Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            match Self::start_once(config, external_url) {
                Ok(alertmanager) => return Ok(alertmanager),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("not tried"))).context("Alertmanager does not start")
    }

    fn start_once(config: &Path, external_url: &str) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let mut command = Command::new(PROGRAM);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg(format!("--web.external-url={external_url}"));
        command.args(["--cluster.listen-address=", "--log.level=warn"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process =
            command.spawn().with_context(|| format!("cannot run {PROGRAM}: Debian's package has its name"))?;
        let mut alertmanager = Self { folder, port, process };
        let deadline = Instant::now() + START;
        while !answers(alertmanager.port, "/-/ready") {
            let ended = alertmanager.process.try_wait()?;
            ensure!(ended.is_none(), "Alertmanager ended with {ended:?}: {}", alertmanager.log());
            ensure!(Instant::now() < deadline, "Alertmanager is not ready within {START:?}: {}", alertmanager.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(alertmanager)
    }

    /// Where it is; its API is below `/api/v2`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // There is nobody left to report it to.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
