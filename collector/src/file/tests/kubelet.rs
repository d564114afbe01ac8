//! Containers whose logs the kubelet rotates and deletes: what it will delete first is read first.

use super::*;
use crate::options::{KubeletOptions, ShareOptions};

const FULL: u64 = 1_000_000;
const MAX_FILES: u32 = 3;
const SLOW: [&str; 3] = ["slow-1", "slow-2", "slow-3"];
const ALL: [&str; 4] = [SLOW[0], SLOW[1], SLOW[2], "fast"];

impl World {
    /// Containers of a node on which no more than this can be read in a second.
    async fn node(rate: u64) -> Self {
        let mut world = Self::new(Format::Plain).await;
        let share = ShareOptions { rate: Some(weir_service::config::Size(rate)), ..ShareOptions::default() };
        world.options.tenant.shares.insert("default".to_owned(), share);
        world.options.kubelet = KubeletOptions { max_size: weir_service::config::Size(FULL), max_files: MAX_FILES };
        world.options.files[0].include = vec![world.path("*/main/*.log").to_str().unwrap().to_owned()];
        for name in SLOW.iter().chain(&["fast"]) {
            fs::create_dir_all(world.path(&format!("team-a_{name}_uid/main"))).unwrap();
        }
        world
    }

    fn written(&self, name: &str) -> PathBuf {
        self.path(&format!("team-a_{name}_uid/main/0.log"))
    }

    /// Appends lines that say who wrote them, and differ.
    fn write(&self, name: &str, bytes: u64) {
        let mut text = String::new();
        for _ in 0..bytes / 100 {
            let _ = writeln!(text, "{name} {:0width$}", rand::random::<u64>(), width = 98 - name.len());
        }
        self.append(&format!("team-a_{name}_uid/main/0.log"), text);
    }

    /// As the kubelet does it, but that it packs nothing.
    fn rotate(&self, name: &str, number: usize) {
        let log = self.written(name);
        let names = fs::read_dir(log.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
        let mut rotated: Vec<_> = names.filter(|path| *path != log).collect();
        rotated.sort();
        let excess = rotated.len().saturating_sub(MAX_FILES as usize - 2);
        rotated[..excess].iter().for_each(|path| fs::remove_file(path).unwrap());
        fs::rename(&log, log.with_extension(format!("log.20260102-{number:06}"))).unwrap();
        File::create(&log).unwrap();
    }

    /// How many bytes of these containers came.
    async fn came(&self, names: &[&str]) -> u64 {
        let bodies = self.bodies().await;
        bodies.iter().filter(|body| names.iter().any(|name| body.starts_with(name))).count() as u64 * 100
    }
}

#[tokio::test]
async fn what_will_be_deleted_first_is_read_first_though_others_were_rotated_before_it() {
    let world = World::node(FULL).await;
    let (there, ended) = (CancellationToken::new(), CancellationToken::new());
    for name in SLOW {
        world.write(name, FULL + FULL / 2);
    }
    let source = world.source().reading_after(there.clone());
    let running = (tokio::spawn(source.run(Until::Stopped, ended.clone())), ended);
    world.wait_for_state(|files| files.len() == 3).await;
    for name in SLOW {
        world.rotate(name, 0);
    }
    for number in 0..2 {
        world.write("fast", FULL);
        world.wait_for_state(|files| files.len() == 7 + number).await;
        world.rotate("fast", number);
    }
    world.write("fast", FULL - 1000);
    world.wait_for_state(|files| files.len() == 9).await;
    there.cancel();
    while world.came(&["fast"]).await < 2 * FULL {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let slow = world.came(&SLOW).await;
    assert!((FULL..3 * FULL).contains(&slow), "{slow} bytes of the others came before");
    stop(running).await;
}

#[tokio::test]
async fn of_a_container_that_writes_faster_than_can_be_read_more_survives_while_others_have_time() {
    let mut world = World::node(FULL * 3 / 4).await;
    for name in SLOW {
        world.write(name, 4 * FULL);
    }
    let running = world.start();
    world.wait_for_state(|files| files.len() == 3).await;
    kill(running).await;
    for name in SLOW {
        world.rotate(name, 0);
    }
    let mut written = 0;
    for number in 0..8 {
        // A crash: what was deleted and not read is lost.
        let before = world.came(&ALL).await;
        let running = world.start();
        for _ in 0..10 {
            world.write("fast", FULL / 10);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        written += FULL;
        // What a second's rate lets through at once is read however slow the machine is.
        while world.came(&ALL).await < before + FULL * 3 / 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        kill(running).await;
        world.rotate("fast", number);
    }
    world.options.tenant.shares.clear();
    let rows = world.rows().await;
    let lost: u64 = rows.iter().flat_map(|row| row.lost.values()).sum();
    // Where rotated files are read in the order of their rotation, it is more than a quarter. Up to an eighth where what a
    // second's rate lets through at once goes to the others, before a slow machine has written.
    assert!(lost < written / 5, "{lost} of {written} bytes are lost");
    assert_eq!(world.came(&SLOW).await, 12 * FULL);
    // Where two crashes follow each other, what came of the first may count as lost though it is there.
    assert!(world.came(&["fast"]).await + lost >= written);
}
