//! A machine with GPUs that are not there: NVML's symbols from a small library, and the `/proc` and the kubelet's folders
//! that say whose processes are on them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the driver says is a file of "key value" lines (`tests/nvml/nvml.c`).
#[derive(Debug)]
pub struct Gpus {
    folder: PathBuf,
    lines: BTreeMap<String, String>,
}

impl Gpus {
    /// Builds the library; the machine lies in `folder`.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder.join("proc"))?;
        fs::create_dir_all(folder.join("var/log/containers"))?;
        fs::create_dir_all(folder.join("var/log/pods"))?;
        fs::write(folder.join("proc/stat"), "btime 1000\n")?;
        fs::write(folder.join("proc/uptime"), "1000.00 1000.00\n")?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("nvml/nvml.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.join("nvml.so")).arg(source).arg("-ldl");
        anyhow::ensure!(compiler.status()?.success(), "the library does not compile");
        Ok(Self { folder: folder.to_owned(), lines: BTreeMap::new() })
    }

    /// For `collector.gpu.library`.
    pub fn library(&self) -> PathBuf {
        self.folder.join("nvml.so")
    }

    /// For `collector.host.root`.
    pub fn root(&self) -> &Path {
        &self.folder
    }

    /// What the driver is to say from the next [`Gpus::say`] on.
    #[allow(clippy::needless_pass_by_value, reason = "tests write numbers and text as they are")]
    pub fn set(&mut self, key: &str, value: impl ToString) -> &mut Self {
        self.lines.insert(key.to_owned(), value.to_string());
        self
    }

    /// Makes the driver say all that was set.
    pub fn say(&self) -> anyhow::Result<()> {
        let mut text = String::new();
        for (key, value) in &self.lines {
            writeln!(text, "{key} {value}")?;
        }
        let new = self.folder.join("new");
        fs::write(&new, text)?;
        fs::rename(new, self.folder.join("nvml.so.state"))?;
        Ok(())
    }

    /// A process in the container `main` of a pod, since long ago.
    pub fn process(&self, pid: u32, namespace: &str, pod: &str) -> anyhow::Result<()> {
        let (id, uid) = (format!("{pid:064x}"), format!("11111111-2222-3333-4444-{pid:012}"));
        let proc = self.folder.join(format!("proc/{pid}"));
        fs::create_dir_all(&proc)?;
        fs::write(proc.join("stat"), format!("{pid} (a) S {} 1 0", "0 ".repeat(18).trim_end()))?;
        fs::write(proc.join("cgroup"), format!("0::/kubepods/pod{uid}/{id}\n"))?;
        fs::create_dir_all(self.folder.join(format!("var/log/pods/{namespace}_{pod}_{uid}")))?;
        fs::write(self.folder.join(format!("var/log/containers/{pod}_{namespace}_main-{id}.log")), "")?;
        Ok(())
    }
}
