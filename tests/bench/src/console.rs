//! The console in Chromium, on a standalone weir in a process of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use weir_tests::console::{Web, chromium};
use weir_tests::weir::Ready as Addresses;
use weir_tests::{Weir, client};

use crate::{Ready, Skipped, Work};

/// How long after the page of logs is opened its lines are seen, and all of it, over 10 million lines.
pub(crate) fn first_view(smoke: bool) -> anyhow::Result<Ready> {
    let lines = if smoke { 20_000 } else { 10_000_000 };
    let times = if smoke { "2" } else { "20" };
    let bench = Bench::open()?;
    let mut filled = bench.runtime.block_on(bench.filled(lines))?;
    Ok(Box::new(move || {
        let address = format!("{}/logs?start=now-1d", filled.addresses.http);
        let more = bench.runtime.block_on(bench.script("bench/first-view.mjs", &[&address, times]))?;
        bench.runtime.block_on(filled.weir.stop())?;
        Ok(Work { records: lines, bytes: 0, more })
    }))
}

/// Live tail of 10,000 lines a second for a minute: the page's longest task and its memory.
pub(crate) fn tail(smoke: bool) -> anyhow::Result<Ready> {
    let seconds: u64 = if smoke { 3 } else { 60 };
    let bench = Bench::open()?;
    let mut started = bench.runtime.block_on(bench.started())?;
    Ok(Box::new(move || {
        let folder = bench.folder.path().join("logs").display().to_string();
        // For as long as the page takes to open, too.
        let lines = 10_000 * (seconds + 8);
        let more = bench.runtime.block_on(async {
            let (lines, seconds) = (lines.to_string(), seconds.to_string());
            let arguments = ["logs", "--dir", &folder, "--lines", &lines, "--rate", "10000"];
            let load = weir_tests::weir::load(&arguments);
            let shown = [&*started.addresses.http, &*seconds];
            let page = bench.script("bench/tail.mjs", &shown);
            let (loaded, figures) = tokio::join!(load, page);
            loaded?;
            figures
        })?;
        bench.runtime.block_on(started.weir.stop())?;
        Ok(Work { records: lines, bytes: 0, more })
    }))
}

struct Bench {
    runtime: tokio::runtime::Runtime,
    web: Web,
    folder: tempfile::TempDir,
}

struct Started {
    weir: Weir,
    addresses: Addresses,
}

impl Bench {
    fn open() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        chromium().map_err(|error| Skipped(format!("{error:#}")))?;
        let web = runtime.block_on(Web::open()).map_err(|error| Skipped(format!("{error:#}")))?;
        Ok(Self { runtime, web, folder: tempfile::tempdir()? })
    }

    async fn started(&self) -> anyhow::Result<Started> {
        let logs = self.folder.path().join("logs/*.log");
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": {
                "files": [{"include": [logs], "format": "cri"}],
                "otlp": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"},
                "host": null,
            },
        });
        let mut weir = Weir::new("standalone", self.folder.path(), &config)?;
        let addresses = weir.start().await?;
        Ok(Started { weir, addresses })
    }

    /// One that holds so many lines.
    async fn filled(&self, lines: u64) -> anyhow::Result<Started> {
        let folder = self.folder.path().join("logs").display().to_string();
        weir_tests::weir::load(&["logs", "--dir", &folder, "--lines", &lines.to_string(), "--rate", "0"]).await?;
        let started = self.started().await?;
        let begun = Instant::now();
        while count(&started.addresses).await? < lines {
            anyhow::ensure!(begun.elapsed() < Duration::from_mins(20), "not all lines can be found after 20 minutes");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(started)
    }

    /// The figures that a script prints.
    async fn script(&self, script: &str, arguments: &[&str]) -> anyhow::Result<serde_json::Map<String, Value>> {
        let all: Vec<&str> = std::iter::once(script).chain(arguments.iter().copied()).collect();
        let printed = self.web.run("node", &all, &[]).await?;
        let last = printed.lines().last().context("the script printed nothing")?;
        serde_json::from_str(last).with_context(|| format!("{}: not JSON: {last}", Path::new(script).display()))
    }
}

async fn count(addresses: &Addresses) -> anyhow::Result<u64> {
    let answer = client().build()?.get(format!("{}/api/v1/logs/count?start=now-1d", addresses.http)).send().await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    answer["count"].as_u64().context("no count")
}
