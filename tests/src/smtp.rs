//! A real SMTP server for tests: PyPI's `aiosmtpd` on loopback, with TLS and credentials.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::python;

const PACKAGE: &str = "aiosmtpd==1.4.6";

/// Listens at four ports: `plain` knows no TLS, `starttls` and `tls` want it and credentials, and `login` has PLAIN
/// switched off. Mail to `gone@…` is refused, and mail to `grey@…` the first time. Ended when it is dropped.
#[derive(Debug)]
pub struct Smtp {
    ports: BTreeMap<String, u16>,
    lines: Lines<BufReader<ChildStdout>>,
    _stdin: Option<ChildStdin>,
    _process: Child,
}

impl Smtp {
    /// With this certificate and key, and for this user. Needs `python3` with `venv`.
    pub async fn start(certificate: &Path, key: &Path, user: &str, password: &str) -> Result<Self> {
        let environment = tokio::task::spawn_blocking(|| python::environment("aiosmtpd-1.4.6", &[PACKAGE])).await??;
        let mut command = Command::new(environment.join("bin/python"));
        command.args(["-W", "ignore", "-c", include_str!("smtp.py")]).arg(certificate).arg(key).args([user, password]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("no output")?).lines();
        let first = lines.next_line().await?.context("the server ended")?;
        Ok(Self { ports: serde_json::from_str(&first)?, lines, _stdin: process.stdin.take(), _process: process })
    }

    /// Where one of them listens.
    pub fn port(&self, name: &str) -> u16 {
        self.ports.get(name).copied().unwrap_or_default()
    }

    /// The next mail that it took.
    pub async fn next(&mut self, within: Duration) -> Result<Value> {
        let line = tokio::time::timeout(within, self.lines.next_line()).await.context("no mail")??;
        Ok(serde_json::from_str(&line.context("the server ended")?)?)
    }
}
