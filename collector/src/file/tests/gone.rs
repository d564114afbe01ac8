//! What is not there for a while, and then is.

use super::*;
use crate::file::{Reason, Tenants};

impl World {
    /// What is done while the logs are not there.
    async fn without_logs<T>(&self, meanwhile: impl Future<Output = T>, lies_there: impl Fn(&std::path::Path)) -> T {
        let (logs, away) = (self.folder.path().join("logs"), self.folder.path().join("away"));
        fs::rename(&logs, &away).unwrap();
        lies_there(&logs);
        let result = meanwhile.await;
        let _ = fs::remove_dir(&logs).or_else(|_| fs::remove_file(&logs));
        fs::rename(&away, &logs).unwrap();
        result
    }

    /// Two whole lines and a part were read; nothing comes twice, and nothing is lost.
    async fn is_read_on(&self) {
        self.append("a.log", "f\n");
        let row = self.books().await["a.log"].clone();
        assert_eq!((row.seen, row.acknowledged, row.lost.len()), (13, 13, 0));
        assert_eq!(self.bodies().await, ["half", "one", "two"]);
    }
}

async fn world() -> World {
    let mut world = World::new(Format::Plain).await;
    world.rescan = Duration::from_millis(100);
    world.append("a.log", "one\ntwo\nhal");
    world
}

#[tokio::test]
async fn a_volume_that_is_mounted_late_is_read_on() {
    let world = world().await;
    world.books().await;
    let lost = world.without_logs(world.told(), |logs| fs::create_dir(logs).unwrap()).await;
    assert_eq!(lost.rows()[0].lost.clone().into_iter().collect::<Vec<_>>(), [(Reason::DeletedWhileDown, 3)]);
    world.is_read_on().await;
    assert_eq!(world.losses().await.len(), 1);
    let (before, now) = (lost.tenants(), world.told().await.tenants());
    let totals = |tenants: &Tenants| tenants.values().map(|one| (one.since, one.lost.clone())).collect::<Vec<_>>();
    assert_eq!(totals(&now), totals(&before), "sums neither fall nor begin anew");
}

#[tokio::test]
async fn a_volume_that_is_mounted_while_the_source_runs_is_read_on() {
    let world = world().await;
    world.books().await;
    let started = async {
        let running = world.start();
        world.wait_for_state(<[_]>::is_empty).await;
        running
    };
    let running = world.without_logs(started, |logs| fs::create_dir(logs).unwrap()).await;
    world.wait_for_state(|files| files.len() == 1).await;
    stop(running).await;
    world.is_read_on().await;
}

#[tokio::test]
async fn what_a_mistaken_glob_left_out_is_read_on() {
    let mut world = world().await;
    world.books().await;
    let right = world.options.files.clone();
    world.options.files[0].include = vec![world.path("*.lgo").to_str().unwrap().to_owned()];
    let row = world.books().await["a.log"].clone();
    assert_eq!(row.lost.into_iter().collect::<Vec<_>>(), [(Reason::NotConfigured, 3)]);
    world.options.files = right;
    world.is_read_on().await;
}

#[tokio::test]
async fn a_folder_that_is_away_for_a_while_is_read_on() {
    let world = world().await;
    world.append("a.log", "f\n");
    let running = world.start();
    world.wait_for(3).await;
    world.without_logs(world.wait_for_state(<[_]>::is_empty), |_| ()).await;
    world.append("a.log", "four\n");
    world.wait_for(4).await;
    stop(running).await;
    assert_eq!(world.bodies().await, ["four", "half", "one", "two"]);
    assert_eq!(world.books().await["a.log"].seen, 18);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_gone() {
    let world = world().await;
    world.books().await;
    let no_folder = |logs: &std::path::Path| std::os::unix::fs::symlink(logs, logs).unwrap();
    let row = world.without_logs(world.books(), no_folder).await["a.log"].clone();
    assert_eq!((row.files, row.waiting, row.lost.len()), (1, 3, 0));
    world.is_read_on().await;
    assert_eq!(world.losses().await.len(), 0);
}

#[tokio::test]
async fn another_file_in_the_place_of_one_that_was_given_up_begins_anew() {
    let world = world().await;
    world.books().await;
    fs::remove_file(world.path("a.log")).unwrap();
    world.books().await;
    world.append("a.log", "new\n");
    let row = world.books().await["a.log"].clone();
    assert_eq!((row.seen, row.acknowledged), (15, 12));
    assert_eq!(world.bodies().await, ["new", "one", "two"]);
}
