//! Rotation of every kind: by rename, by copy and truncation, into gzip files; and files that are none.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::file::identity::NO_BIRTHS;

impl World {
    /// Follows what lies beside the log file too.
    fn with_copies(mut self) -> Self {
        self.options.files[0].include = vec![self.path("*.log*").to_str().unwrap().to_owned()];
        self
    }

    fn copy_and_truncate(&self, to: &str) {
        fs::copy(self.path("a.log"), self.path(to)).unwrap();
        OpenOptions::new().write(true).open(self.path("a.log")).unwrap().set_len(0).unwrap();
    }

    fn pack(&self, name: &str) {
        let packed = File::create(self.path(&format!("{name}.gz"))).unwrap();
        let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        packed.write_all(&fs::read(self.path(name)).unwrap()).unwrap();
        packed.finish().unwrap();
        fs::remove_file(self.path(name)).unwrap();
    }
}

impl World {
    /// A pod's log goes away, and another pod's gets its inode; `was` is what the first one had written.
    async fn use_inode_again(&self, was: &str) -> Running {
        self.append("a.log", was);
        let running = self.start();
        self.wait_for_state(|files| files.len() == 1).await;
        self.wait_for(was.lines().count()).await;
        // Only one may be open.
        self.append("c.log", "other\n");
        self.wait_for(was.lines().count() + 1).await;
        fs::rename(self.path("a.log"), self.path("b.log")).unwrap();
        fs::write(self.path("b.log"), "secret\n").unwrap();
        self.wait_for(was.lines().count() + 2).await;
        running
    }
}

fn numbers(range: std::ops::Range<u32>) -> String {
    range.fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "{n:06}");
        text
    })
}

/// What was read is each of the numbers once.
fn assert_each_once(bodies: &[String], range: impl Iterator<Item = u32>) {
    let wanted: Vec<_> = range.map(|n| format!("{n:06}")).collect();
    let missing: Vec<_> = wanted.iter().filter(|n| !bodies.contains(n)).collect();
    let twice: Vec<_> = bodies.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(missing.is_empty() && twice.is_empty(), "missing {missing:?}, twice {twice:?}");
}

#[tokio::test]
async fn a_file_that_is_copied_and_truncated_is_read_once_whether_its_copy_is_followed_or_not() {
    for copies in [false, true] {
        let mut world = World::new(Format::Plain).await;
        if copies {
            world = world.with_copies();
        }
        world.append("a.log", numbers(0..3));
        let running = world.start();
        world.wait_for(3).await;
        for at in 1..5 {
            // What was written last is in the copy alone by the time it is read.
            world.append("a.log", numbers(at * 10 - 7..at * 10));
            world.copy_and_truncate(&format!("a.log.{at}"));
            world.append("a.log", numbers(at * 10..at * 10 + 3));
            world.wait_for(at as usize * 10 + 3).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop(running).await;
        world.to_the_end().await;
        assert_each_once(&world.bodies().await, 0..43);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_line_of_an_empty_file_that_is_named_after_another_comes_without_a_rescan() {
    let mut world = World::new(Format::Plain).await.with_copies();
    world.rescan = Duration::from_hours(1);
    world.append("a.log", "one\n");
    world.append("a.log.wf", "");
    let running = world.start();
    world.wait_for(1).await;
    world.append("a.log.wf", "two\n");
    assert_eq!(world.wait_for(2).await, ["one", "two"]);
    stop(running).await;
}

#[tokio::test]
async fn what_was_copied_and_truncated_while_the_collector_was_down_is_read_on_in_the_copy() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", numbers(0..10));
    world.to_the_end().await;
    world.append("a.log", numbers(10..20));
    world.copy_and_truncate("a.log.1");
    world.append("a.log", numbers(20..60));
    let running = world.start();
    world.wait_for(60).await;
    stop(running).await;
    assert_each_once(&world.bodies().await, 0..60);
}

#[tokio::test]
async fn a_file_that_begins_as_before_and_has_grown_past_its_old_end_is_another_generation() {
    let world = World::new(Format::Plain).await;
    let same = "the same line in every file\n".repeat(100);
    world.append("a.log", same.clone() + &numbers(0..10));
    world.to_the_end().await;
    fs::write(world.path("a.log"), same + &numbers(10..40)).unwrap();
    world.to_the_end().await;
    let (same, bodies): (Vec<_>, Vec<_>) = world.bodies().await.into_iter().partition(|body| body.starts_with("the"));
    assert_eq!(same.len(), 200);
    assert_each_once(&bodies, 0..40);
}

#[tokio::test]
async fn files_that_begin_alike_and_files_of_a_few_bytes_are_told_apart() {
    let world = World::new(Format::Plain).await;
    let same = "the same line in every file\n".repeat(100);
    for (name, range) in [("a.log", 0..5), ("b.log", 5..10)] {
        world.append(name, same.clone() + &numbers(range));
    }
    world.append("c.log", "x\n");
    world.append("d.log", "x\n");
    world.to_the_end().await;
    world.append("c.log", "y\n");
    world.append("b.log", numbers(10..12));
    world.to_the_end().await;
    let bodies = world.bodies().await;
    let count = |text: &str| bodies.iter().filter(|body| body.as_str() == text).count();
    assert_eq!((count("x"), count("y"), count("the same line in every file")), (2, 1, 200));
    assert_eq!(bodies.len(), 200 + 3 + 12);
}

#[tokio::test]
async fn a_file_that_was_packed_before_it_was_read_is_read_on_where_it_ended_and_never_again() {
    let world = World::new(Format::Plain).await.with_copies();
    world.append("a.log", numbers(0..1000));
    world.to_the_end().await;
    world.append("a.log", numbers(1000..2000));
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.pack("a.log.1");
    world.append("a.log", numbers(2000..2010));
    let running = world.start();
    world.wait_for(2010).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop(running).await;
    world.to_the_end().await;
    assert_each_once(&world.bodies().await, 0..2010);
}

#[tokio::test]
async fn a_packed_file_is_no_source_of_its_own() {
    let world = World::new(Format::Plain).await.with_copies();
    world.append("old.log", numbers(10..20));
    world.pack("old.log");
    world.append("a.log", numbers(0..3));
    world.to_the_end().await;
    assert_each_once(&world.bodies().await, 0..3);
}

#[tokio::test]
async fn no_number_of_files_breaks_the_limit_on_open_ones() {
    let mut world = World::new(Format::Plain).await;
    world.options.max_open_files = 16;
    for n in 0..100 {
        world.append(&format!("{n}.log"), numbers(n * 3..n * 3 + 2));
    }
    let running = world.start();
    world.wait_for(200).await;
    let logs = world.folder.path().join("logs");
    let open = || {
        let links = fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        links.filter(|path| path.starts_with(&logs) && path.is_file()).count()
    };
    assert!((1..=17).contains(&open()), "{} files are open", open());
    fs::rename(world.path("7.log"), world.path("7.old")).unwrap();
    OpenOptions::new().append(true).open(world.path("7.old")).unwrap().write_all(b"000023\n").unwrap();
    for n in (0..100).filter(|n| *n != 7) {
        world.append(&format!("{n}.log"), numbers(n * 3 + 2..n * 3 + 3));
    }
    world.wait_for(300).await;
    assert!(open() <= 17, "{} files are open", open());
    stop(running).await;
    assert_each_once(&world.bodies().await, 0..300);
}

#[tokio::test]
async fn a_compressed_file_that_is_damaged_is_read_as_far_as_it_goes_and_given_up() {
    let world = World::new(Format::Plain).await;
    let many = numbers(0..20_000);
    world.append("a.log", numbers(0..1));
    world.to_the_end().await;
    world.append("a.log", &many["000000\n".len()..]);
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.pack("a.log.1");
    let packed = fs::read(world.path("a.log.1.gz")).unwrap();
    fs::write(world.path("a.log.1.gz"), &packed[..packed.len() / 2]).unwrap();
    let running = world.start();
    let bodies = world.wait_for(5_000).await;
    assert!(bodies.len() < 19_000);
    world.wait_for_state(<[_]>::is_empty).await;
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_pointed_at_a_new_file_leads_there_and_the_old_one_is_read_to_its_end() {
    let world = World::new(Format::Plain).await;
    let pods = world.path("pods");
    fs::create_dir(&pods).unwrap();
    fs::write(pods.join("0"), "one\n").unwrap();
    std::os::unix::fs::symlink(pods.join("0"), world.path("a.log")).unwrap();
    let running = world.start();
    world.wait_for(1).await;
    fs::write(pods.join("1"), "three\n").unwrap();
    std::os::unix::fs::symlink(pods.join("1"), world.path("new")).unwrap();
    fs::rename(world.path("new"), world.path("a.log")).unwrap();
    OpenOptions::new().append(true).open(pods.join("0")).unwrap().write_all(b"two\n").unwrap();
    assert_eq!(world.wait_for(3).await, ["one", "three", "two"]);
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_or_never_ends_is_left_alone_or_cut_and_nothing_waits_for_it() {
    let mut world = World::new(Format::Plain).await;
    world.options.max_line = weir_service::config::Size(1000);
    fs::create_dir(world.path("folder.log")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, world.path("fifo.log"), rustix::fs::Mode::RUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(world.path("socket.log")).unwrap();
    std::os::unix::fs::symlink(world.path("loop.log"), world.path("loop.log")).unwrap();
    let endless = File::create(world.path("endless.log")).unwrap();
    (&endless).write_all(&vec![b'x'; 3_000_000]).unwrap();
    let sparse = File::create(world.path("sparse.log")).unwrap();
    sparse.set_len(8 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"behind the hole\n", 8 << 30).unwrap();
    world.append("a.log", "one\n");
    let running = world.start();
    assert_eq!(world.wait_for(2).await, ["behind the hole", "one"]);
    (&endless).write_all(b"\nshort\n").unwrap();
    let bodies = world.wait_for(4).await;
    assert_eq!((bodies[2].as_str(), bodies[3].len()), ("short", 1000));
    stop(running).await;
}

#[tokio::test]
async fn rotations_of_every_kind_and_kills_lose_nothing_and_double_nothing() {
    for seed in 1..=3 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let world = World::new(Format::Plain).await.with_copies();
        let (mut next, mut name) = (1, 0);
        world.append("a.log", numbers(0..1));
        let mut running = world.start();
        world.wait_for(1).await;
        for _ in 0..40 {
            let more = rng.random_range(1..40);
            world.append("a.log", numbers(next..next + more));
            next += more;
            name += 1;
            let rotated = format!("a.log.{name}");
            match rng.random_range(0..8) {
                0 | 1 => {
                    fs::rename(world.path("a.log"), world.path(&rotated)).unwrap();
                    if rng.random() {
                        world.pack(&rotated);
                    }
                }
                2 | 3 => world.copy_and_truncate(&rotated),
                4 => {
                    kill(running).await;
                    running = world.start();
                }
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
        }
        // What was rotated away is looked for when another is there.
        world.append("a.log", numbers(next..next + 1));
        next += 1;
        world.wait_for(next as usize).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop(running).await;
        assert_each_once(&world.bodies().await, 0..next);
    }
}

#[tokio::test]
async fn what_came_and_was_rotated_and_packed_while_the_collector_was_down_is_read_once() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", numbers(0..10));
    world.to_the_end().await;
    for n in 1..4 {
        world.append("a.log", numbers(n * 10..n * 10 + 10));
        fs::rename(world.path("a.log"), world.path(&format!("a.log.{n}"))).unwrap();
        world.append("a.log", numbers(n * 10 + 50..n * 10 + 60));
        fs::rename(world.path("a.log"), world.path(&format!("a.log.{n}5"))).unwrap();
    }
    for name in ["a.log.1", "a.log.15", "a.log.2", "a.log.25"] {
        world.pack(name);
    }
    world.append("a.log", numbers(40..50));
    world.append("b.log", "");
    for _ in 0..2 {
        let running = world.start();
        world.wait_for(80).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop(running).await;
    }
    for name in ["a.log.3", "a.log.35"] {
        world.pack(name);
    }
    world.to_the_end().await;
    assert_each_once(&world.bodies().await, (0..50).chain(60..90));
}

#[tokio::test]
async fn a_file_that_was_copied_truncated_written_and_renamed_while_the_collector_was_down_is_two_generations() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", numbers(0..10));
    world.to_the_end().await;
    world.append("a.log", numbers(10..20));
    world.copy_and_truncate("a.log.1");
    world.append("a.log", numbers(20..30));
    fs::rename(world.path("a.log"), world.path("a.log.2")).unwrap();
    world.append("a.log", numbers(30..40));
    world.to_the_end().await;
    assert_each_once(&world.bodies().await, 0..40);
}

#[tokio::test]
async fn where_births_are_not_told_an_inode_that_was_used_again_while_down_is_no_renamed_file() {
    NO_BIRTHS.set(true);
    for was in ["", "text of a\n"] {
        let world = World::new(Format::Plain).await;
        world.append("a.log", was);
        world.to_the_end().await;
        fs::rename(world.path("a.log"), world.path("b.log")).unwrap();
        fs::write(world.path("b.log"), "secret\n").unwrap();
        let books = world.books().await;
        assert_eq!(books["b.log"].acknowledged, 7, "{was}");
        assert_eq!(books.get("a.log").map_or(0, |row| row.seen), was.len() as u64);
    }
}

#[tokio::test]
async fn where_births_are_not_told_an_inode_that_was_used_again_is_no_renamed_file_though_it_was_not_open() {
    NO_BIRTHS.set(true);
    for was in ["", "text of a\n"] {
        let mut world = World::new(Format::Plain).await;
        world.options.max_open_files = 1;
        let running = world.use_inode_again(was).await;
        stop(running).await;
        let books = world.books().await;
        assert_eq!(books["b.log"].acknowledged, 7, "{was}");
        assert_eq!(books.get("a.log").map_or(0, |row| row.seen), was.len() as u64);
    }
}

#[tokio::test]
async fn where_births_are_not_told_a_renamed_file_that_is_not_open_is_read_on() {
    NO_BIRTHS.set(true);
    for to in ["a.log.1", "b.log"] {
        let mut world = World::new(Format::Plain).await;
        world.options.max_open_files = 1;
        world.append("a.log", numbers(0..2));
        let running = world.start();
        world.wait_for(2).await;
        world.append("c.log", numbers(2..3));
        world.wait_for(3).await;
        fs::rename(world.path("a.log"), world.path(to)).unwrap();
        world.append(to, numbers(3..5));
        world.wait_for(5).await;
        stop(running).await;
        assert_each_once(&world.bodies().await, 0..5);
    }
}

#[tokio::test]
async fn a_backup_that_is_shorter_than_what_was_read_is_not_read_when_its_file_is_truncated_or_gone_while_down() {
    for gone in [false, true] {
        let world = World::new(Format::Plain).await;
        world.append("a.log", numbers(0..600));
        fs::copy(world.path("a.log"), world.path("a.log.bak")).unwrap();
        world.append("a.log", numbers(600..1000));
        world.to_the_end().await;
        if gone {
            fs::remove_file(world.path("a.log")).unwrap();
        } else {
            fs::write(world.path("a.log"), "").unwrap();
        }
        world.append("a.log", numbers(1000..1001));
        world.books().await;
        assert_each_once(&world.bodies().await, 0..1001);
    }
}

#[tokio::test]
async fn a_followed_backup_is_not_read_when_its_file_is_truncated_or_rotated_and_deleted() {
    for truncate in [false, true] {
        let mut world = World::new(Format::Plain).await.with_copies();
        world.rescan = Duration::from_millis(100);
        world.append("a.log", numbers(0..200));
        let running = world.start();
        world.wait_for(200).await;
        fs::copy(world.path("a.log"), world.path("a.log.bak")).unwrap();
        world.append("a.log", numbers(200..210));
        world.wait_for(210).await;
        if truncate {
            fs::write(world.path("a.log"), numbers(210..211)).unwrap();
        } else {
            fs::rename(world.path("a.log"), world.path("a.old")).unwrap();
            world.append("a.log", numbers(210..211));
            world.wait_for_state(|files| files.iter().any(|file| file["closed"] == true)).await;
            fs::remove_file(world.path("a.old")).unwrap();
        }
        world.wait_for(211).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop(running).await;
        world.to_the_end().await;
        assert_each_once(&world.bodies().await, 0..211);
    }
}

#[tokio::test]
async fn a_backup_that_was_made_before_its_file_was_renamed_while_down_is_never_read() {
    let mut world = World::new(Format::Plain).await;
    world.rescan = Duration::from_millis(100);
    world.append("a.log", numbers(0..100));
    world.to_the_end().await;
    fs::copy(world.path("a.log"), world.path("a.log.bak")).unwrap();
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    // Birth times are as coarse as the kernel's tick.
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.append("a.log", numbers(100..101));
    let running = world.start();
    world.wait_for(101).await;
    world.wait_for_state(|files| files.iter().any(|file| file["closed"] == true)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop(running).await;
    assert_each_once(&world.bodies().await, 0..101);
}

#[tokio::test]
async fn a_closed_file_that_grew_and_was_packed_before_the_next_look_is_read_on() {
    let mut world = World::new(Format::Plain).await;
    world.rescan = Duration::from_millis(700);
    world.append("a.log", numbers(0..10));
    let running = world.start();
    world.wait_for(10).await;
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.append("a.log", numbers(10..11));
    world.wait_for_state(|files| files.iter().any(|file| file["closed"] == true)).await;
    world.append("a.log.1", numbers(11..20));
    world.pack("a.log.1");
    world.wait_for(20).await;
    stop(running).await;
    assert_each_once(&world.bodies().await, 0..20);
}
