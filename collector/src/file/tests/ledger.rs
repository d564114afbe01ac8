//! What became of every byte, and what is told of it.

use super::*;
use crate::file::{Reason, Row, Sources};

impl World {
    /// The books by the names of files.
    pub(super) async fn books(&self) -> BTreeMap<String, Row> {
        let name = |row: &Row| PathBuf::from(&row.path).file_name().unwrap().to_str().unwrap().to_owned();
        self.rows().await.into_iter().map(|row| (name(&row), row)).collect()
    }

    /// The books after all that can be read was read.
    pub(super) async fn rows(&self) -> Vec<Row> {
        self.told().await.rows()
    }

    /// The same with the totals of tenants, which are those of the rows and what came back after it was lost.
    pub(super) async fn told(&self) -> Sources {
        let sources = Sources::default();
        self.source().telling(&sources).run(Until::End, CancellationToken::new()).await.unwrap();
        let rows = sources.rows();
        for row in &rows {
            assert_eq!(row.seen, row.acknowledged + row.waiting + row.lost.values().sum::<u64>(), "{row:?}");
        }
        let (mut by_row, mut by_tenant) = (Row::default(), Row::default());
        for row in &rows {
            by_row = by_row.plus(row);
        }
        for totals in sources.tenants().values() {
            let (acknowledged, lost) = (totals.acknowledged, totals.lost.clone());
            by_tenant = by_tenant.plus(&Row { acknowledged, lost, ..Row::default() });
            assert!(totals.since > 0, "{totals:?}");
        }
        assert_eq!(by_tenant.acknowledged, by_row.acknowledged);
        for (reason, bytes) in &by_row.lost {
            assert!(by_tenant.lost.get(reason) >= Some(bytes), "{reason:?} {by_tenant:?} {by_row:?}");
        }
        sources
    }

    pub(super) async fn losses(&self) -> Vec<(std::ops::Range<u64>, String)> {
        self.read_all().await.1.into_iter().map(|(_, range, reason)| (range, reason)).collect()
    }
}

#[tokio::test]
async fn every_byte_is_seen_and_then_acknowledged_or_waits() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", "one\ntwo\nthr");
    let row = world.books().await["a.log"].clone();
    assert_eq!((row.files, row.seen, row.acknowledged, row.waiting), (1, 11, 8, 3));
    world.append("a.log", "ee\n");
    let row = world.books().await["a.log"].clone();
    assert_eq!((row.seen, row.acknowledged, row.waiting), (14, 14, 0));
    assert!(row.is_complete() && world.losses().await.is_empty());
}

#[tokio::test]
async fn bytes_are_of_the_tenant_that_their_file_was_of_when_they_were_read_or_lost() {
    let mut world = World::new(Format::Plain).await;
    let name = format!("ocr-1_team-a_main-{}.log", "ab".repeat(32));
    let is = |sources: &Sources, tenant: &str| {
        let totals = sources.tenants().get(tenant).cloned().unwrap_or_default();
        (totals.read, totals.acknowledged, totals.lost.into_values().sum::<u64>())
    };
    for tenant in ["acme", "globex"] {
        world.options.tenant.namespaces.insert("team-a".to_owned(), tenant.to_owned());
        world.naming = Naming::new(&world.options, None);
        world.append(&name, "one\ntwo\n");
        let sources = world.told().await;
        assert_eq!((is(&sources, tenant), sources.rows()[0].tenant.as_str()), ((8, 8, 0), tenant));
    }
    fs::write(world.path(&name), "x\n").unwrap();
    let sources = world.told().await;
    assert_eq!((is(&sources, "acme"), is(&sources, "globex")), ((8, 8, 0), (10, 10, 0)));
    world.append(&name, "half");
    world.told().await;
    fs::remove_file(world.path(&name)).unwrap();
    let sources = world.told().await;
    // That the half line was read would have been written with the next position.
    assert_eq!((is(&sources, "acme"), is(&sources, "globex")), ((8, 8, 0), (10, 10, 4)));
    let row = &sources.rows()[0];
    assert_eq!((row.tenant.as_str(), row.is_of_several), ("globex", true), "its bytes are not all its tenant's");
}

#[tokio::test]
async fn what_comes_while_nothing_can_be_read_is_told_as_waiting_and_is_lost_when_it_is_cut() {
    let mut world = World::new(Format::Plain).await;
    world.rescan = Duration::from_hours(1);
    world.append("a.log", "one\n");
    let (sources, there, stop) = (Sources::default(), CancellationToken::new(), CancellationToken::new());
    let source = world.source().telling(&sources).reading_after(there.clone());
    let running = tokio::spawn(source.run(Until::Stopped, stop.clone()));
    let told = |bytes: u64| {
        let sources = sources.clone();
        async move {
            while sources.rows().first().is_none_or(|row| (row.seen, row.waiting) != (bytes, bytes)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    told(4).await;
    world.append("a.log", "two\nthree\n");
    told(14).await;
    assert!(sources.rows()[0].waiting_seconds < 3600);
    fs::write(world.path("a.log"), "x\n").unwrap();
    there.cancel();
    while !world.bodies().await.contains(&"x".to_owned()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    let row = sources.rows()[0].clone();
    assert_eq!((row.seen, row.acknowledged, row.waiting), (16, 2, 0));
    assert_eq!(row.lost.into_iter().collect::<Vec<_>>(), [(Reason::Truncated, 14)]);
}

#[tokio::test]
async fn what_was_deleted_or_truncated_while_down_is_lost_by_its_reason_and_told_once() {
    let world = World::new(Format::Plain).await;
    for name in ["a.log", "b.log", "c.log"] {
        world.append(name, "one\ntwo");
    }
    world.books().await;
    fs::remove_file(world.path("a.log")).unwrap();
    fs::write(world.path("b.log"), "x\n").unwrap();
    for _ in 0..2 {
        let books = world.books().await;
        let (a, b) = (&books["a.log"], &books["b.log"]);
        assert_eq!((a.files, a.seen, a.acknowledged), (0, 7, 4));
        assert_eq!(a.lost.clone().into_iter().collect::<Vec<_>>(), [(Reason::DeletedWhileDown, 3)]);
        assert_eq!((b.files, b.seen, b.acknowledged), (1, 9, 6));
        assert_eq!(b.lost.clone().into_iter().collect::<Vec<_>>(), [(Reason::Truncated, 3)]);
        let mut losses = world.losses().await;
        losses.sort_by(|one, other| one.1.cmp(&other.1));
        assert_eq!(losses, [(4..7, "deleted_while_down".to_owned()), (4..7, "truncated".to_owned())]);
    }
}

#[tokio::test]
async fn what_is_over_the_limit_of_a_line_is_lost_to_the_byte_whatever_it_was_cut_from() {
    for multiline in [Multiline::None, Multiline::Auto] {
        for length in [99, 100, 101, 355, 356, 357, 700_000_u64] {
            let mut world = World::new(Format::Plain).await;
            world.options.max_line = weir_service::config::Size(100);
            world.options.files[0].multiline = multiline.clone();
            world.append("a.log", "x".repeat(length as usize) + "\nnext\n");
            for _ in 0..2 {
                let row = world.books().await["a.log"].clone();
                let over = length.saturating_sub(100);
                assert_eq!((row.seen, row.acknowledged), (length + 6, length.min(100) + 6), "{length} {multiline:?}");
                assert_eq!(row.lost.get(&Reason::OverLimit).copied().unwrap_or(0), over);
            }
            assert_eq!(world.bodies().await, ["next".to_owned(), "x".repeat(length.min(100) as usize)]);
        }
    }
}

#[tokio::test]
async fn parts_of_a_line_over_the_limit_are_counted_together() {
    let mut world = World::new(Format::Cri).await;
    world.options.max_line = weir_service::config::Size(100);
    let part = format!("2016-10-06T00:17:09Z stdout P {}\n", "y".repeat(80));
    world.append("a.log", part.repeat(3) + &cri("end"));
    let row = world.books().await["a.log"].clone();
    assert_eq!(row.lost.get(&Reason::OverLimit), Some(&143));
}

#[tokio::test]
async fn an_end_of_reading_that_is_begun_at_the_end_is_nothing_lost() {
    let mut world = World::new(Format::Plain).await;
    world.options.files[0].from = From::End;
    world.append("a.log", "one\ntwo\n");
    world.books().await;
    world.append("a.log", "three\n");
    let row = world.books().await["a.log"].clone();
    assert_eq!((row.seen, row.acknowledged), (6, 6));
}

#[tokio::test]
async fn a_file_that_is_rotated_or_no_more_configured_keeps_its_books() {
    let mut world = World::new(Format::Plain).await;
    world.append("a.log", "one\n");
    world.books().await;
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.append("a.log", "two\n");
    let row = world.books().await["a.log"].clone();
    assert_eq!((row.files, row.seen, row.acknowledged), (2, 8, 8));
    fs::remove_file(world.path("a.log.1")).unwrap();
    world.append("a.log", "thr");
    let row = world.books().await["a.log"].clone();
    assert_eq!((row.files, row.seen, row.waiting), (1, 11, 3));
    world.options.files[0].include = vec![world.path("b.log").to_str().unwrap().to_owned()];
    let row = world.books().await["a.log"].clone();
    assert_eq!((row.files, row.seen, row.acknowledged), (0, 11, 8));
    assert_eq!(row.lost.into_iter().collect::<Vec<_>>(), [(Reason::NotConfigured, 3)]);
}

#[tokio::test]
async fn what_was_on_its_way_at_a_crash_and_came_is_not_lost_though_the_file_is_gone() {
    let mut world = World::new(Format::Plain).await;
    world.checkpoint = Duration::from_hours(1);
    for name in ["a.log", "b.log"] {
        world.append(name, "one\ntwo\nhalf");
    }
    let running = world.start();
    world.wait_for(4).await;
    kill(running).await;
    fs::remove_file(world.path("a.log")).unwrap();
    fs::write(world.path("b.log"), "3\n").unwrap();
    let books = world.books().await;
    for (name, acknowledged, reason) in [("a.log", 8, Reason::DeletedWhileDown), ("b.log", 10, Reason::Truncated)] {
        assert_eq!(books[name].acknowledged, acknowledged, "{name}");
        assert_eq!(books[name].lost.clone().into_iter().collect::<Vec<_>>(), [(reason, 4)]);
    }
    let mut losses = world.losses().await;
    losses.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(losses, [(8..12, "deleted_while_down".to_owned()), (8..12, "truncated".to_owned())]);
}

#[tokio::test]
async fn what_came_before_a_crash_is_not_lost_though_its_file_is_truncated_before_it_is_read_again() {
    let mut world = World::new(Format::Plain).await;
    world.checkpoint = Duration::from_hours(1);
    world.append("a.log", "one\ntwo\nhalf");
    let running = world.start();
    world.wait_for(2).await;
    kill(running).await;

    let (there, ended) = (CancellationToken::new(), CancellationToken::new());
    let sources = Sources::default();
    let source = world.source().telling(&sources).reading_after(there.clone());
    let running = (tokio::spawn(source.run(Until::Stopped, ended.clone())), ended);
    while sources.rows().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fs::write(world.path("a.log"), "3\n").unwrap();
    there.cancel();
    world.wait_for(3).await;
    while world.losses().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.losses().await, [(8..12, "truncated".to_owned())]);
    assert_eq!(world.bodies().await, ["3", "one", "two"]);
    stop(running).await;
    let row = world.books().await["a.log"].clone();
    assert_eq!((row.seen, row.acknowledged), (14, 10));
    assert_eq!(row.lost.into_iter().collect::<Vec<_>>(), [(Reason::Truncated, 4)]);
}

#[tokio::test]
async fn what_is_cut_behind_what_was_read_while_down_is_lost() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", "line\n".repeat(300) + "half");
    world.books().await;
    OpenOptions::new().write(true).open(world.path("a.log")).unwrap().set_len(1502).unwrap();
    let row = world.books().await["a.log"].clone();
    assert_eq!((row.seen, row.acknowledged, row.waiting), (1504, 1500, 2));
    assert_eq!(row.lost.into_iter().collect::<Vec<_>>(), [(Reason::Truncated, 2)]);
    assert_eq!(world.losses().await, [(1502..1504, "truncated".to_owned())]);
}
