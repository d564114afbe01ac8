//! A real Keycloak for tests: an OpenID Connect provider on loopback, on a free port, with its realms in memory.
//!
//! It comes from Maven once, into `$XDG_CACHE_HOME/weir/keycloak-26.7.3-built`, and is built there for a database in
//! memory, so that one process starts without compiling anything. It needs a JDK 17 and `mvn`; it is up about 30 s after
//! its start, in about 370 MB. The realms and their keys are gone after [`Keycloak::stop`].

mod realm;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use parking_lot::Mutex;
use reqwest::{Client, Method};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub use realm::Realm;

use crate::maven::{self, last_lines, output};

const VERSION: &str = "26.7.3";
/// Of the administrator, who is named the same.
const PASSWORD: &str = "admin";
const START: Duration = Duration::from_mins(5);
/// Making keys takes long on a busy machine.
const ANSWER: Duration = Duration::from_mins(2);
/// Another process may take a free port before Keycloak does. With port 0 it listens, but answers nobody.
const TRIES: usize = 3;

/// A running Keycloak; ended when it is dropped.
#[derive(Debug)]
pub struct Keycloak {
    folder: TempDir,
    home: PathBuf,
    port: u16,
    client: Client,
    process: Mutex<Option<Child>>,
}

impl Keycloak {
    /// The one that all tests of this process share while any of them has it.
    pub async fn shared() -> Result<Arc<Self>> {
        static SHARED: tokio::sync::Mutex<Weak<Keycloak>> = tokio::sync::Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(keycloak) = shared.upgrade() {
            return Ok(keycloak);
        }
        let keycloak = Arc::new(Self::start_new().await?);
        *shared = Arc::downgrade(&keycloak);
        Ok(keycloak)
    }

    async fn start_new() -> Result<Self> {
        let pom = concat!(env!("CARGO_MANIFEST_DIR"), "/keycloak/pom.xml");
        let fetch = move || maven::fetch(&format!("keycloak-{VERSION}-built"), pom, "unpack-dependencies", build);
        let home = home(&tokio::task::spawn_blocking(fetch).await??);
        let mut last = None;
        for _ in 0..TRIES {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            // Its connections would end with the runtime of the test that opened them.
            let client = crate::http::client().timeout(ANSWER).pool_max_idle_per_host(0).build()?;
            let (folder, home) = (tempfile::tempdir()?, home.clone());
            let keycloak = Self { folder, home, port, client, process: Mutex::new(None) };
            match keycloak.start().await {
                Ok(()) => return Ok(keycloak),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("not tried"))).context("Keycloak does not start")
    }

    /// Starts it, without realms, on its port, after [`stop`](Self::stop), and waits until it answers.
    pub async fn start(&self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = java(&self.home);
        command.args(["start", "--optimized", "--cache=local", "--log-level=WARN"]);
        command.args(["--http-enabled=true", "--http-host=127.0.0.1", &format!("--http-port={}", self.port)]);
        // The issuer is what a request calls it.
        command.arg("--hostname-strict=false");
        command.env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin").env("KC_BOOTSTRAP_ADMIN_PASSWORD", PASSWORD);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        *self.process.lock() = Some(command.spawn().context("cannot run java")?);
        let deadline = Instant::now() + START;
        loop {
            let answer = self.client.get(self.url("realms/master")).timeout(Duration::from_secs(10)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            let ended = self.process.lock().as_mut().map(Child::try_wait).transpose()?.flatten();
            let log = || last_lines(&self.log());
            ensure!(ended.is_none(), "Keycloak ended with {ended:?}; the end of its log:\n{}", log());
            ensure!(Instant::now() < deadline, "Keycloak does not answer; the end of its log:\n{}", log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends it: connections to it are refused. Does nothing if it is not running.
    pub fn stop(&self) -> Result<()> {
        if let Some(mut process) = self.process.lock().take() {
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
        let id = self.process.lock().as_ref().context("Keycloak is not running")?.id();
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// An access token by the password grant.
    async fn token(&self, realm: &str, client: &str, user: &str, password: &str) -> Result<String> {
        let url = self.url(&format!("realms/{realm}/protocol/openid-connect/token"));
        let form = [("grant_type", "password"), ("client_id", client), ("username", user), ("password", password)];
        let body = reqwest::Url::parse_with_params("form:", form)?.query().unwrap_or_default().to_owned();
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded");
        let answer = json(request.body(body)).await?;
        Ok(answer["access_token"].as_str().context("no access token")?.to_owned())
    }

    /// A request to the administration API.
    async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let token = self.token("master", "admin-cli", "admin", PASSWORD).await?;
        let mut request = self.client.request(method, self.url(&format!("admin/realms{path}"))).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        json(request).await
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("keycloak.log")
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        // There is nobody left to report it to.
        let _ = self.stop();
    }
}

/// The zip has everything in a folder.
fn home(folder: &Path) -> PathBuf {
    folder.join(format!("keycloak-{VERSION}"))
}

/// Fixes the options of the build, which a start would otherwise take a minute to compile.
fn build(folder: &Path) -> Result<()> {
    output(java(&home(folder)).args(["build", "--db=dev-mem"]))?;
    Ok(())
}

/// What `kc.sh` runs, without a shell as its parent.
fn java(home: &Path) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xms64m", "-Xmx512m", "-XX:MaxMetaspaceSize=256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    command.args(["-Djava.util.logging.manager=org.jboss.logmanager.LogManager", "-Dpicocli.disable.closures=true"]);
    command.arg("--add-opens=java.base/java.lang=ALL-UNNAMED");
    command.arg(format!("-Dkc.home.dir={}", home.display())).arg("-cp").arg(home.join("lib/quarkus-run.jar"));
    command.arg("io.quarkus.bootstrap.runner.QuarkusEntryPoint");
    command
}

/// The body of an answer that is a success; null if it has none.
async fn json(request: reqwest::RequestBuilder) -> Result<Value> {
    let answer = request.send().await?;
    let (status, url) = (answer.status(), answer.url().clone());
    let body = answer.text().await?;
    ensure!(status.is_success(), "{url}: {status}: {body}");
    Ok(serde_json::from_str(&body).unwrap_or_default())
}
