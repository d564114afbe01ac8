//! A real PostgreSQL for tests: Debian's, on loopback, on a free port, in a temporary folder.
//!
//! It does not run as root, so where the tests do, it runs as the user `postgres` that Debian's package makes.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::maven::{last_lines, output};

const START: Duration = Duration::from_secs(30);
/// Where Debian puts each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A running server; ended, and its data removed, when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    process: Option<Child>,
}

impl Postgres {
    /// Starts one of its own, and waits until it answers.
    pub fn start() -> Result<Self> {
        let programs = std::fs::read_dir(VERSIONS).context("PostgreSQL is not installed")?;
        let programs = programs.filter_map(Result::ok).map(|entry| entry.path().join("bin"));
        let programs = programs.max().context("PostgreSQL is not installed")?;
        let user = if rustix::process::getuid().is_root() { Some(user("postgres")?) } else { None };
        let folder = tempfile::tempdir()?;
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group))?;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut postgres = Self { folder, programs, user, port, process: None };
        let mut initdb = postgres.command("initdb");
        initdb.args(["-U", "weir", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"]).arg(postgres.data());
        output(&mut initdb)?;
        postgres.restart()?;
        let mut createdb = postgres.command("createdb");
        createdb.args(["-h", "127.0.0.1", "-U", "weir", "-p", &port.to_string(), "usage"]);
        output(&mut createdb)?;
        Ok(postgres)
    }

    /// As `usage.store` has it.
    pub fn address(&self) -> String {
        format!("postgres://weir@127.0.0.1:{}/usage", self.port)
    }

    /// Starts it again on its data.
    pub fn restart(&mut self) -> Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.log())?;
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data()).args(["-h", "127.0.0.1", "-k", "", "-p", &self.port.to_string()]);
        // Its crash is ours to make, not the machine's.
        server.args(["-c", "fsync=off"]).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(server.spawn()?);
        let deadline = Instant::now() + START;
        let mut is_ready = self.command("pg_isready");
        is_ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() || !is_ready.status()?.success() {
            ensure!(Instant::now() < deadline, "PostgreSQL does not start:\n{}", last_lines(&self.log()));
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            // Its own way of a crash: SIGKILL would leave its helpers behind.
            kill_process(Pid::from_child(&process), Signal::QUIT)?;
            process.wait()?;
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Number and group of a user.
fn user(name: &str) -> Result<(u32, u32)> {
    let users = std::fs::read_to_string(Path::new("/etc/passwd"))?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name));
    let fields: Vec<&str> = line.with_context(|| format!("there is no user {name}"))?.split(':').collect();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse().ok()).context("/etc/passwd cannot be read");
    Ok((number(2)?, number(3)?))
}
