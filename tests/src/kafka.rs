//! A real Apache Kafka for tests: one KRaft node on loopback, on free ports, in a temporary folder.
//!
//! Its jars come from Maven once, into `$XDG_CACHE_HOME/weir/kafka-4.3.1`. It needs a JDK 17 and `mvn`; it is up about
//! three seconds after its start, in about 340 MB. Topics and positions are on disk and outlive [`Kafka::kill`].

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::Mutex;
use weir_bus::{Broker, Bus, Error, Options};

use crate::maven::{self, last_lines, output};

const VERSION: &str = "4.3.1";
/// A program in one source file, which java compiles as it starts.
const PRODUCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka/Produce.java");
const START: Duration = Duration::from_mins(1);
/// Another process may take a free port before Kafka does.
const TRIES: usize = 3;

/// A running broker; ended, and its data removed, when it is dropped.
#[derive(Debug)]
pub struct Kafka {
    folder: TempDir,
    jars: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Kafka {
    /// Starts one of its own, and waits until it answers.
    pub async fn start() -> Result<Self> {
        let pom = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka/pom.xml");
        let fetch = move || maven::fetch(&format!("kafka-{VERSION}"), pom, "copy-dependencies", |_| Ok(()));
        let jars = tokio::task::spawn_blocking(fetch).await??;
        let mut last = None;
        for _ in 0..TRIES {
            match Self::start_once(jars.clone()).await {
                Ok(kafka) => return Ok(kafka),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("not tried"))).context("Kafka does not start")
    }

    /// The one that all tests of this process share while any of them has it.
    pub async fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Kafka>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(kafka) = shared.upgrade() {
            return Ok(kafka);
        }
        let kafka = Arc::new(Self::start().await?);
        *shared = Arc::downgrade(&kafka);
        Ok(kafka)
    }

    async fn start_once(jars: PathBuf) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // Both are held until both are known, or they might be the same.
        let listeners = [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
        let [port, controller] = [listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port()];
        drop(listeners);
        std::fs::write(folder.path().join("server.properties"), properties(folder.path(), port, controller))?;
        let mut kafka = Self { folder, jars, port, process: None };
        let id = output(kafka.java("kafka.tools.StorageTool").arg("random-uuid"))?;
        let mut format = kafka.java("kafka.tools.StorageTool");
        output(format.args(["format", "--standalone", "-t", id.trim(), "-c"]).arg(kafka.properties()))?;
        kafka.restart().await?;
        Ok(kafka)
    }

    /// `host:port`, for `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Options of a bus on this broker.
    pub fn options(&self) -> Options {
        Options { broker: Broker::Kafka, brokers: Some(self.brokers()), ..Options::default() }
    }

    /// Puts one record on a topic with Kafka's own Java client: without a key and without headers.
    pub async fn produce(&self, topic: &str, value: &[u8]) -> Result<()> {
        use tokio::io::AsyncWriteExt as _;
        let mut java = tokio::process::Command::from(self.java(PRODUCE));
        java.args([&self.brokers(), topic]).stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
        let mut process = java.spawn().context("cannot run java")?;
        process.stdin.take().context("no standard input")?.write_all(value).await?;
        let status = process.wait().await?;
        ensure!(status.success(), "{PRODUCE}: {status}");
        Ok(())
    }

    /// Adds a line to its properties, for the next [`restart`](Self::restart).
    pub fn configure(&self, line: &str) -> Result<()> {
        let mut file = File::options().append(true).open(self.properties())?;
        Ok(std::io::Write::write_all(&mut file, format!("\n{line}\n").as_bytes())?)
    }

    /// SIGKILL. Does nothing if it is not running.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Sends a signal, such as SIGSTOP and SIGCONT, which make it hang and go on.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().context("not running")?;
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).context("no pid")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Starts it on the same data and ports, after [`kill`](Self::kill), and waits until it answers.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = self.java("kafka.Kafka");
        command.arg(self.properties()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("cannot run java")?);
        self.until_it_answers().await
    }

    async fn until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        let fail =
            |what: &str, log: PathBuf| anyhow::anyhow!("Kafka {what}; the end of its log:\n{}", last_lines(&log));
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                return Err(fail(&format!("ended with {status}"), self.log()));
            }
            ensure!(Instant::now() < deadline, fail("does not listen", self.log()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let bus = Bus::open(&self.options(), self.folder.path()).await?;
        loop {
            match bus.partitions("is-anybody-there").await {
                Ok(_) | Err(Error::Unknown(_)) => return Ok(()),
                Err(error) if Instant::now() > deadline => bail!(fail(&error.to_string(), self.log())),
                Err(_) => {}
            }
        }
    }

    fn java(&self, main: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xms128m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        command.arg("-cp").arg(self.jars.join("*")).arg(main);
        command
    }

    fn properties(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("kafka.log")
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // The temporary folder goes with it; there is nobody left to tell.
        let _ = self.kill();
    }
}

/// Small segments (a record of 16 MiB fits into one) and frequent checks, so that a test sees retention; short sessions, so that it sees a lost member.
fn properties(folder: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={}
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
log.segment.bytes=18874368
log.initial.task.delay.ms=500
log.retention.check.interval.ms=500
",
        folder.join("data").display()
    )
}
