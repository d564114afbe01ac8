//! From one run to the next: what only the last one could know.

use super::*;
use crate::options::ShareOptions;
use weir_service::config::Size;

#[tokio::test]
async fn a_file_that_was_deleted_before_it_was_read_is_read_on_by_the_next_configuration() {
    let mut world = World::new(Format::Plain).await;
    let slow = ShareOptions { rate: Some(Size(1024)), ..ShareOptions::default() };
    world.options.tenant.shares.insert("default".to_owned(), slow);
    world.append("a.log", "a line\n".repeat(200_000));
    let (task, stop) = world.start();
    world.wait_for(1).await;
    fs::remove_file(world.path("a.log")).unwrap();
    stop.cancel();
    let left = task.await.unwrap().unwrap();
    world.options.tenant.shares.clear();
    world.source().holding(left).run(Until::End, CancellationToken::new()).await.unwrap();
    let (lines, losses) = world.read_all().await;
    assert_eq!((lines.len(), losses), (200_000, Vec::new()));
}

/// Runs until these lines are on the bus, and dies before it has written that down.
async fn die_after(world: &mut World, lines: usize) {
    world.checkpoint = Duration::from_mins(1);
    let running = world.start();
    world.wait_for(lines).await;
    kill(running).await;
}

#[tokio::test]
async fn lines_that_other_rules_join_with_ones_that_are_on_the_bus_are_not_dropped_with_them() {
    let mut world = loop {
        let mut world = World::new(Format::Plain).await;
        world.append("a.log", "start 1\n more\n");
        die_after(&mut world, 2).await;
        // On a busy machine the first look at the file is written down when it was read already.
        let state = fs::read_to_string(world.folder.path().join("state/files.json")).unwrap_or_default();
        if !state.contains("\"position\":14") {
            break world;
        }
    };
    world.append("a.log", " late\nstart 2\n");
    world.options.files[0].multiline = Multiline::Start(Pattern::try_from("^start".to_owned()).unwrap());
    world.to_the_end().await;
    let bodies = world.bodies().await;
    assert!(bodies.iter().any(|body| body == "start 1\n more\n late"), "{bodies:?}");
}

#[tokio::test]
async fn the_same_rules_go_on_under_the_same_name() {
    let mut world = World::new(Format::Plain).await;
    world.append("a.log", "1\n2\n");
    die_after(&mut world, 2).await;
    world.append("a.log", "3\n");
    world.to_the_end().await;
    assert_eq!(world.bodies().await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_file_whose_batches_were_torn_goes_on_under_another_name() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", "1\n");
    world.to_the_end().await;
    let state = world.folder.path().join("state/files.json");
    let torn = fs::read_to_string(&state).unwrap().replace("\"torn\":false", "\"torn\":true");
    fs::write(&state, torn).unwrap();
    world.append("a.log", "2\n");
    world.to_the_end().await;
    let names: std::collections::BTreeSet<_> = world.read().await.into_keys().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 2);
}

#[tokio::test]
async fn what_the_run_before_the_last_had_on_its_way_is_no_loss_when_the_file_is_gone() {
    let mut world = World::new(Format::Plain).await;
    world.append("a.log", "1\n2\n");
    die_after(&mut world, 2).await;
    // The next one dies before it reads.
    let source = world.source().reading_after(CancellationToken::new());
    let stop = CancellationToken::new();
    let running = (tokio::spawn(source.run(Until::Stopped, stop.clone())), stop);
    tokio::time::sleep(Duration::from_millis(300)).await;
    kill(running).await;
    fs::remove_file(world.path("a.log")).unwrap();
    world.to_the_end().await;
    let (lines, losses) = world.read_all().await;
    assert_eq!((lines.len(), losses), (2, Vec::new()));
}
