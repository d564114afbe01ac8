//! Other shippers on the same file and the same broker as `cri-512-kafka`, for the ratio of CPU seconds a line:
//! `floor_ratio` is theirs over weir's.
//!
//! Their CPU seconds are those of their own process, its start included; the broker's are not counted, as they are not
//! for weir.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use weir::load::lines::Format;
use weir_bus::Partition;

use super::{on_kafka, write};
use crate::{NotAsked, Ready, Skipped, Work, cpu_seconds_of, peak_rss_mb_of};

const TOPIC: &str = "peer";
const PATIENCE: Duration = Duration::from_mins(5);

/// rsyslog, from imfile to omkafka: one message a line.
pub(crate) fn rsyslog(smoke: bool) -> anyhow::Result<Ready> {
    ship(smoke, |folder, brokers| {
        let text = format!(
            r#"global(workDirectory="{folder}/state")
module(load="imfile" mode="inotify")
module(load="omkafka")
template(name="line" type="string" string="%msg%")
input(type="imfile" File="{folder}/logs/warm.log" Tag="warm" ruleset="ship")
ruleset(name="ship") {{
  action(type="omkafka" broker=["{brokers}"] topic="{TOPIC}" template="line" resubmitOnFailure="on"
         keepFailedMessages="on" failedMsgFile="{folder}/state/failed"
         confParam=["acks=all", "compression.codec=lz4", "linger.ms=5", "queue.buffering.max.messages=1000000"])
}}
"#,
            folder = folder.display(),
        );
        let (config, pid) = (folder.join("rsyslog.conf"), folder.join("rsyslog.pid"));
        std::fs::write(&config, text)?;
        let check = Command::new("rsyslogd").arg("-N1").arg("-f").arg(&config).stderr(Stdio::null()).status();
        if !check.is_ok_and(|status| status.success()) {
            return Err(Skipped("needs the packages rsyslog and rsyslog-kafka".to_owned()).into());
        }
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(config).arg("-i").arg(pid);
        Ok(command)
    })
}

/// Filebeat's container input; `WEIR_PEER_FILEBEAT` names its program.
pub(crate) fn filebeat(smoke: bool) -> anyhow::Result<Ready> {
    let Some(program) = weir_tests::environment("WEIR_PEER_FILEBEAT") else {
        // Not to be had from a package, so not asked of a machine that has all the rest.
        return Err(NotAsked("WEIR_PEER_FILEBEAT names no program").into());
    };
    ship(smoke, move |folder, brokers| {
        let config = serde_json::json!({
            "filebeat.inputs": [{ "type": "container", "paths": [folder.join("logs/warm.log")], "stream": "all" }],
            "path": { "data": folder.join("state"), "logs": folder.join("state") },
            "output.kafka": { "hosts": [brokers], "topic": TOPIC, "required_acks": -1, "compression": "lz4" },
        });
        let path = folder.join("filebeat.yml");
        std::fs::write(&path, config.to_string())?;
        let mut command = Command::new(&program);
        command.arg("-c").arg(path);
        Ok(command)
    })
}

/// Runs what `command` makes, for a folder and the brokers, until every line of 512 bytes is on Kafka.
fn ship(smoke: bool, command: impl FnOnce(&Path, &str) -> anyhow::Result<Command> + 'static) -> anyhow::Result<Ready> {
    let lines = if smoke { 20_000 } else { 1_000_000 };
    let (kafka, rig) = on_kafka(TOPIC)?;
    let bytes = write(&rig.logs().join("warm.log"), Format::Cri, 471, lines)?;
    let mut command = command(&rig.folder, &kafka.brokers())?;
    Ok(Box::new(move || {
        let _kafka = kafka;
        let partitions = rig.bus.topic_spec(TOPIC).partitions;
        let partitions: Vec<_> = (0..partitions).map(|n| Partition::new(TOPIC, n)).collect();
        let told = rig.folder.join("peer.log");
        let (out, err) = (File::create(&told)?, File::options().append(true).open(&told)?);
        let mut peer = Peer(command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().context("a peer")?);
        let started = Instant::now();
        loop {
            let mut there = 0;
            for partition in &partitions {
                there += rig.runtime.block_on(rig.bus.offsets(partition))?.1 as u64;
            }
            if there >= lines {
                break;
            }
            if peer.0.try_wait()?.is_some() {
                anyhow::bail!("the peer ended after {there} of {lines} lines: {}", std::fs::read_to_string(&told)?);
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "{there} of {lines} lines are on Kafka");
            std::thread::sleep(Duration::from_millis(20));
        }
        let id = peer.0.id().to_string();
        let more = serde_json::json!({ "cpu_seconds": cpu_seconds_of(&id)?, "peak_rss_mb": peak_rss_mb_of(&id)? });
        Ok(Work { records: lines, bytes, more: more.as_object().cloned().unwrap_or_default() })
    }))
}

/// Killed when it is dropped.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It has ended already if this fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
