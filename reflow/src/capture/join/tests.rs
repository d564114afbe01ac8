use super::*;
use crate::capture::tests::span;

fn part(offset: i64, index: u32, call: u8) -> Line {
    Line { id: LineId { partition: 0, offset, index }, span_id: vec![call; 8].into(), ..span("acme", &[]) }
}

fn joins() -> Joins {
    Joins::new(Duration::from_secs(10))
}

fn places(joined: &[Joined]) -> Vec<Vec<i64>> {
    joined.iter().map(|joined| joined.places.iter().map(|place| place.offset).collect()).collect()
}

#[test]
fn given_parts_in_different_records_then_a_call_ends_with_a_record_that_came_its_time_later() {
    let (mut joins, now) = (joins(), Instant::now());
    let mut ended = Vec::new();
    for (offset, call, at) in [(5, 1, 0), (6, 2, 4_000), (7, 1, 9_999), (8, 3, 10_000), (9, 1, 11_000)] {
        assert!(joins.add(part(offset, 0, call), at, now).is_none());
        ended.extend(joins.advance(0, offset + 1, at));
    }
    assert_eq!(places(&ended), [[5, 7]], "the third part of the first came too late");
    assert_eq!(
        joins.unfinished(0).unwrap(),
        Unfinished { through: 10, parts: vec![(6, vec![0]), (8, vec![0]), (9, vec![0])] }
    );
    assert_eq!(places(&joins.advance(0, 11, 19_999)), [[6]]);
    assert_eq!(joins.unfinished(0).unwrap().oldest(), 8);
    assert_eq!(places(&joins.end_all()), [[8], [9]]);
    assert_eq!(joins.unfinished(0), None);
}

#[test]
fn given_nothing_more_then_the_clock_ends_a_call() {
    let (mut joins, now) = (joins(), Instant::now());
    assert_eq!(joins.due(), None);
    joins.add(part(5, 0, 1), 0, now);
    joins.add(part(5, 1, 2), 0, now + Duration::from_secs(3));
    assert_eq!(joins.due(), Some(now + Duration::from_secs(10)));
    assert!(joins.end_due(now + Duration::from_secs(9)).is_empty());
    assert_eq!(joins.end_due(now + Duration::from_secs(10)).len(), 1);
    assert_eq!(joins.due(), Some(now + Duration::from_secs(13)));
}

#[test]
fn given_another_tenant_then_its_call_of_the_same_ids_is_another() {
    let (mut joins, now) = (joins(), Instant::now());
    let mut other = part(6, 0, 1);
    other.source = span("globex", &[]).source;
    joins.add(part(5, 0, 1), 0, now);
    joins.add(other, 0, now);
    assert_eq!(places(&joins.end_all()), [[5], [6]]);
}

#[test]
fn given_a_restart_then_only_parts_of_open_calls_are_wanted_again() {
    let (mut joins, now) = (joins(), Instant::now());
    for (offset, index, call) in [(5, 0, 1), (5, 1, 2), (6, 0, 3)] {
        joins.add(part(offset, index, call), 0, now);
    }
    joins.advance(0, 7, 0);
    let unfinished = joins.unfinished(0).unwrap();
    // One of three ended meanwhile, and is listed.
    let unfinished = Unfinished { parts: vec![(5, vec![1]), (6, vec![0])], ..unfinished };
    let mut again = self::joins();
    again.restore(0, &unfinished);
    let id = |offset, index| LineId { partition: 0, offset, index };
    let wanted = [id(5, 0), id(5, 1), id(6, 0), id(6, 1), id(7, 0)].map(|id| again.wants(id));
    assert_eq!(wanted, [false, true, true, false, true]);
    assert_eq!(again.unfinished(0), Some(unfinished.clone()), "as open as before, though nothing was read yet");
    again.add(part(5, 1, 2), 0, now);
    assert!(again.advance(0, 6, 0).is_empty());
    assert_eq!(again.unfinished(0), Some(unfinished), "also half way");
    again.add(part(6, 0, 3), 0, now);
    again.advance(0, 7, 0);
    again.add(part(7, 0, 2), 0, now);
    again.advance(0, 8, 0);
    assert_eq!(places(&again.end_all()), [vec![5, 7], vec![6]]);
}

#[test]
fn given_more_than_there_is_room_for_then_the_oldest_ends_early_and_what_is_held_is_bounded() {
    let (mut joins, now) = (joins(), Instant::now());
    let mut early = 0;
    for offset in 0..2_000 {
        let mut large = part(offset, 0, 0);
        large.trace_id = offset.to_be_bytes().to_vec().into();
        large.body = weir_query::line::Body::Text("x".repeat(100_000));
        if let Some(joined) = joins.add(large, 0, now) {
            assert!(joined.is_early);
            assert_eq!(joined.places[0].offset, early);
            early += 1;
        }
        assert!(joins.partitions[&0].bytes <= MOST_BYTES);
    }
    assert!(early > 1_000, "{early}");
    let mut ended = Vec::new();
    for index in 0..3 * MOST_PARTS as u32 {
        ended.extend(joins.add(part(3_000, index, 9), 0, now));
    }
    let parts: Vec<usize> = ended.iter().map(|joined| joined.places.len()).filter(|parts| *parts > 1).collect();
    assert_eq!(parts, [MOST_PARTS; 3]);
}
