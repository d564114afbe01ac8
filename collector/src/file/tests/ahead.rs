//! What files get while none of them is read.

use futures::StreamExt as _;

use super::*;
use crate::file::{Reason, Sources};

/// A source that is told through these, and has read a file's first line, whose batch is on its way.
async fn read_once(world: &World, sources: &Sources, stop: &CancellationToken) -> (Source, u64) {
    world.append("a.log", "one\n");
    let mut source = world.source().telling(sources);
    follow::look(&mut source, true);
    assert!(source.find_ends(stop).await);
    source.write().unwrap();
    let id = *source.tails.keys().next().unwrap();
    source.visit(id, stop).await;
    (source, id)
}

/// A batch has become durable.
async fn acknowledged(source: &mut Source) {
    let done = source.flight.next().await.unwrap();
    source.done(done);
}

#[tokio::test]
async fn what_a_rotated_file_got_while_nothing_was_read_is_read_before_it_is_closed() {
    let world = World::new(Format::Plain).await;
    let stop = CancellationToken::new();
    let (mut source, id) = read_once(&world, &Sources::default(), &stop).await;
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    follow::look(&mut source, false);
    // Longer than a rotated file has to be still.
    tokio::time::sleep(Duration::from_millis(250)).await;
    source.visit(id, &stop).await;
    source.tick(std::time::Instant::now());
    // Its last batch is on its way, and no more can be: whoever held the file still writes to it.
    world.append("a.log.1", "late\n");
    source.tell_what_waits();
    acknowledged(&mut source).await;
    source.tick(std::time::Instant::now());
    source.visit(id, &stop).await;
    source.drain().await.unwrap();
    assert_eq!(world.bodies().await, ["late", "one"]);
}

#[tokio::test]
async fn what_was_told_to_wait_and_is_cut_off_behind_what_was_read_is_lost() {
    let world = World::new(Format::Plain).await;
    let (sources, stop) = (Sources::default(), CancellationToken::new());
    let (mut source, id) = read_once(&world, &sources, &stop).await;
    world.append("a.log", "two\nthree\n");
    source.queue(id);
    source.tell_what_waits();
    OpenOptions::new().write(true).open(world.path("a.log")).unwrap().set_len(8).unwrap();
    source.visit(id, &stop).await;
    for _ in 0..2 {
        acknowledged(&mut source).await;
    }
    source.publish();
    let row = sources.rows()[0].clone();
    assert_eq!((row.seen, row.acknowledged, row.waiting), (14, 8, 0));
    assert_eq!(row.lost.into_iter().collect::<Vec<_>>(), [(Reason::Truncated, 6)]);
}

#[tokio::test]
async fn what_was_written_anew_in_the_place_of_what_was_read_is_no_loss_of_that() {
    let world = World::new(Format::Plain).await;
    let (sources, stop) = (Sources::default(), CancellationToken::new());
    let (mut source, id) = read_once(&world, &sources, &stop).await;
    acknowledged(&mut source).await;
    fs::write(world.path("a.log"), "two\nthree\nfour\n").unwrap();
    source.queue(id);
    source.tell_what_waits();
    source.visit(id, &stop).await;
    source.publish();
    assert!(sources.rows()[0].lost.is_empty(), "{:?}", sources.rows());
}
