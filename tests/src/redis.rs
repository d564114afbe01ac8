//! A real Redis for tests: one server on loopback, on a free port, that keeps nothing on disk.
//!
//! It is the program `redis-server` on the path: Debian's package `redis-server` has it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(20);
/// Another process may take a free port before Redis does.
const TRIES: usize = 3;

/// A running Redis; ended when it is dropped.
#[derive(Debug)]
pub struct Redis {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Redis {
    /// Starts one, and waits until it answers.
    pub fn start() -> Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let mut redis = Self { folder: tempfile::tempdir()?, port, process: None };
            match redis.restart() {
                Ok(()) => return Ok(redis),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("not tried"))).context("Redis does not start")
    }

    /// Starts it again on its port, empty, after [`stop`](Self::stop).
    pub fn restart(&mut self) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process =
            Some(command.spawn().context("cannot run redis-server: it is in Debian's package redis-server")?);
        let deadline = Instant::now() + START;
        while self.ask("PING").is_err() {
            let ended = self.process.as_mut().map(Child::try_wait).transpose()?.flatten();
            ensure!(ended.is_none(), "Redis ended with {ended:?}");
            ensure!(Instant::now() < deadline, "Redis does not answer within {START:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// For clients.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// First line of the answer to a command without spaces in its arguments.
    pub fn ask(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        ensure!(!line.is_empty() && !line.starts_with('-'), "{command}: {line}");
        Ok(line.trim_end().trim_start_matches(['+', ':', '*', '$']).to_owned())
    }

    /// Ends it: connections to it are refused, and what it counted is gone.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Makes it hang: connections to it open, and get no answer.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.process.as_ref().context("Redis is not running")?.id();
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // There is nobody left to report it to.
        let _ = self.stop();
    }
}
