//! Whose turn it is to be read: bytes are shared by tenant, then by file.
//!
//! Deficit round robin: a tenant that has files to read gets [`QUANTUM`] bytes a round for each unit of its weight, and
//! what it reads beyond is taken off its next round. So one tenant's thousand files, or one file that never ends, cost
//! another tenant one round at most.
//!
//! Within a tenant, every other turn is that of a fresh file, one of which all was read before it grew: what is written
//! now does not wait for what was left from before. Of the turns between, every other one is that of the file that is due
//! first, which is when it will be deleted; no order reads more in time, since bytes are worth the same whichever file
//! they are of. The others are those of the file that has waited longest: one before which `n` others wait has its turn
//! after `4n + 3` others of its tenant at most.
//!
//! A tenant over its rate waits. Where what is over it is to be dropped, [`Turns::over`] says after a while which files
//! that is in.
//!
//! Pure: it reads no clock and no file.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;
use weir_service::config::Size;

use crate::options::{Over, ShareOptions};

/// Bytes that one unit of weight is worth in a round: about one read buffer.
pub(super) const QUANTUM: i64 = 256 << 10;
/// A limit lets this much time's worth of bytes through at once.
const BURST: Duration = Duration::from_secs(1);

/// Who is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This file.
    File(u64),
    /// Nobody before then: all that could be read is of tenants over their rate.
    At(Instant),
    /// Nothing is to be read.
    Nobody,
}

/// A file of a tenant over its rate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Beyond {
    pub(super) tenant: Arc<str>,
    pub(super) file: u64,
    /// Its part of what the rate will allow soon, in bytes: where no more waits in it, it stays.
    pub(super) leave: u64,
}

/// Files that have something to be read.
#[derive(Debug, Default)]
pub(super) struct Turns {
    shares: BTreeMap<String, ShareOptions>,
    /// How long what is over a rate waits before it is dropped, where it is to be.
    over_wait: Duration,
    tenants: AHashMap<Arc<str>, Tenant>,
    /// Tenants in the order of the round. One whose last file was taken out stays until it is its turn again, since
    /// that file may come back.
    round: VecDeque<Arc<str>>,
    files: usize,
    /// How many files were pushed.
    pushed: u64,
}

/// A file that waits for its turn: those that are due come before the others, the one that waits longest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    never: bool,
    due: Option<Instant>,
    pushed: u64,
    file: u64,
}

#[derive(Debug, Default)]
struct Tenant {
    by_due: BTreeSet<Waiting>,
    /// The same, by when they were pushed.
    by_age: BTreeMap<u64, Waiting>,
    /// Those of them that are fresh, by the same.
    fresh: BTreeSet<u64>,
    /// The last turn was that of a fresh one.
    was_fresh: bool,
    /// The last turn was that of the one that was due first.
    was_due: bool,
    /// Bytes that it may still read in this round; below zero what it has read of the next.
    deficit: i64,
    /// Bytes that its rate allows, and when that was reckoned.
    bucket: Option<(f64, Instant)>,
    /// When what waits is to be dropped, if its rate is used up then as it is now.
    over_at: Option<Instant>,
    /// It is in the round.
    waiting: bool,
}

impl Turns {
    /// By tenant; who is not named has weight one and no limit.
    pub(super) fn new(shares: BTreeMap<String, ShareOptions>, over_wait: Duration) -> Self {
        Self { shares, over_wait, ..Self::default() }
    }

    /// What is over the rate of some tenant is dropped.
    pub(super) fn drops(&self) -> bool {
        self.shares.values().any(|share| share.over == Over::Drop)
    }

    /// No file waits for its turn.
    pub(super) fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// A file, of this tenant, that does not wait for its turn already; it should be read before it is due.
    pub(super) fn push(&mut self, tenant: &Arc<str>, file: u64, due: Option<Instant>, fresh: bool) {
        let entry = self.tenants.entry(tenant.clone()).or_default();
        let waiting = Waiting { never: due.is_none(), due, pushed: self.pushed, file };
        entry.by_due.insert(waiting);
        entry.by_age.insert(self.pushed, waiting);
        if fresh {
            entry.fresh.insert(self.pushed);
        }
        self.pushed += 1;
        self.files += 1;
        if !entry.waiting {
            entry.waiting = true;
            self.round.push_back(tenant.clone());
        }
    }

    /// Takes out the file that is to be read; [`Self::spent`] says afterwards what it cost.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        loop {
            let (mut earliest, mut may): (Option<Instant>, bool) = (None, false);
            for _ in 0..self.round.len() {
                let Some(name) = self.round.front() else { break };
                let share = self.shares.get(&**name).copied().unwrap_or_default();
                let Some(tenant) = self.tenants.get_mut(name) else { break };
                if tenant.by_age.is_empty() {
                    // What it did not read is not saved up; what it has read beyond is not forgotten.
                    tenant.deficit = tenant.deficit.min(0);
                    (tenant.waiting, tenant.over_at) = (false, None);
                    if tenant.deficit == 0 && tenant.bucket.is_none() {
                        self.tenants.remove(name);
                    }
                    self.round.pop_front();
                } else if let Some(mut at) = tenant.held_until(share.rate, now) {
                    if share.over == Over::Drop {
                        at = at.min(*tenant.over_at.get_or_insert(now + self.over_wait));
                    }
                    earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
                    self.round.rotate_left(1);
                } else if tenant.deficit > 0 {
                    self.files -= 1;
                    return tenant.take().map_or(Next::Nobody, Next::File);
                } else {
                    may = true;
                    tenant.deficit += QUANTUM * i64::from(share.weight);
                    self.round.rotate_left(1);
                }
            }
            // A debt is paid in a few rounds: it is what one visit read.
            if !may {
                return earliest.map_or(Next::Nobody, Next::At);
            }
        }
    }

    /// The files from which is to be dropped what waits in them: those of tenants whose rate was used up some time ago,
    /// who have not caught up since, and who have less than half of a burst to spend.
    pub(super) fn over(&mut self, now: Instant) -> VecDeque<Beyond> {
        let mut all = VecDeque::new();
        for (name, share) in self.shares.iter().filter(|(_, share)| share.over == Over::Drop) {
            let Some(rate) = share.rate else { continue };
            let Some((tenant, entry)) = self.tenants.get_key_value(name.as_str()) else { continue };
            if entry.over_at.is_none_or(|at| at > now) {
                continue;
            }
            let tenant = Arc::clone(tenant);
            let Some(entry) = self.tenants.get_mut(&tenant) else { continue };
            entry.over_at = None;
            entry.held_until(share.rate, now);
            let burst = rate.0 as f64 * BURST.as_secs_f64();
            if entry.bucket.is_none_or(|(room, _)| room < burst / 2.0) {
                let leave = burst as u64 / entry.by_age.len().max(1) as u64;
                let each = entry.by_age.values().map(|waiting| waiting.file);
                all.extend(each.map(|file| Beyond { tenant: Arc::clone(&tenant), file, leave }));
            }
        }
        all
    }

    /// So many bytes of a file of this tenant were read.
    pub(super) fn spent(&mut self, tenant: &str, bytes: u64) {
        let Some(entry) = self.tenants.get_mut(tenant) else { return };
        entry.deficit -= bytes as i64;
        if let Some((room, _)) = &mut entry.bucket {
            *room -= bytes as f64;
        }
    }
}

impl Tenant {
    fn take(&mut self) -> Option<u64> {
        self.was_fresh = !self.was_fresh && !self.fresh.is_empty();
        let pushed = if self.was_fresh {
            *self.fresh.first()?
        } else {
            self.was_due = !self.was_due;
            if self.was_due { self.by_due.first()?.pushed } else { *self.by_age.first_key_value()?.0 }
        };
        let next = self.by_age.remove(&pushed)?;
        self.by_due.remove(&next);
        self.fresh.remove(&pushed);
        Some(next.file)
    }

    /// When its rate allows the next byte, if not now.
    fn held_until(&mut self, rate: Option<Size>, now: Instant) -> Option<Instant> {
        let rate = rate?.0 as f64;
        let most = rate * BURST.as_secs_f64();
        let (room, then) = self.bucket.unwrap_or((most, now));
        let room = (room + rate * now.saturating_duration_since(then).as_secs_f64()).min(most);
        self.bucket = Some((room, now));
        (room <= 0.0).then(|| now + Duration::from_secs_f64((1.0 - room) / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WAIT: Duration = Duration::from_secs(5);

    fn shares(all: &[(&str, u32, Option<u64>)]) -> BTreeMap<String, ShareOptions> {
        let share =
            |weight, rate: Option<u64>| ShareOptions { weight, rate: rate.map(Size), ..ShareOptions::default() };
        all.iter().map(|&(name, weight, rate)| (name.to_owned(), share(weight, rate))).collect()
    }

    /// Reads for so many visits; every file always has more. Bytes by file.
    fn read(turns: &mut Turns, files: &[(&str, u64)], visits: usize, bytes: u64) -> AHashMap<u64, u64> {
        let now = Instant::now();
        let of: AHashMap<u64, Arc<str>> = files.iter().map(|&(tenant, id)| (id, Arc::from(tenant))).collect();
        for &(tenant, id) in files {
            turns.push(&Arc::from(tenant), id, None, false);
        }
        let mut read = AHashMap::new();
        for _ in 0..visits {
            let Next::File(id) = turns.next(now) else { panic!("nobody is next") };
            *read.entry(id).or_default() += bytes;
            turns.spent(&of[&id], bytes);
            turns.push(&of[&id], id, None, false);
        }
        read
    }

    #[test]
    fn a_tenant_of_many_files_gets_no_more_than_one_of_a_single_file() {
        let mut files: Vec<(&str, u64)> = (0..50).map(|id| ("noisy", id)).collect();
        files.push(("quiet", 50));
        let read = read(&mut Turns::default(), &files, 1000, QUANTUM as u64);
        assert_eq!(read[&50], 500 * QUANTUM as u64);
        assert!((0..50).all(|id| read[&id] == 10 * QUANTUM as u64), "{read:?}");
    }

    #[test]
    fn a_weight_is_a_part_of_the_bytes_however_many_a_visit_reads() {
        for bytes in [1000, QUANTUM as u64, 3 * QUANTUM as u64] {
            let mut turns = Turns::new(shares(&[("heavy", 3, None)]), WAIT);
            let read = read(&mut turns, &[("heavy", 0), ("light", 1)], 40_000, bytes);
            let ratio = read[&0] as f64 / read[&1] as f64;
            assert!((2.9..3.1).contains(&ratio), "{ratio} at {bytes}");
        }
    }

    #[test]
    fn every_other_turn_is_that_of_the_file_that_is_due_first() {
        let (mut turns, tenant, now) = (Turns::default(), Arc::from("t"), Instant::now());
        let due = |seconds| Some(now + Duration::from_secs(seconds));
        for (id, due) in [(1, None), (2, due(9)), (3, due(5)), (4, None), (5, due(7)), (6, due(5))] {
            turns.push(&tenant, id, due, false);
        }
        let order: Vec<_> = std::iter::from_fn(|| match turns.next(now) {
            Next::File(id) => Some(id),
            _ => None,
        })
        .collect();
        assert_eq!(order, [3, 1, 6, 2, 5, 4]);
        assert!(turns.is_empty() && turns.next(now) == Next::Nobody);
    }

    #[test]
    fn a_tenant_over_its_rate_waits_and_others_do_not() {
        let mut turns = Turns::new(shares(&[("slow", 1, Some(1000))]), WAIT);
        let (slow, quick, now) = (Arc::from("slow"), Arc::from("quick"), Instant::now());
        turns.push(&slow, 1, None, false);
        assert_eq!(turns.next(now), Next::File(1));
        turns.spent("slow", 3000);
        turns.push(&slow, 1, None, false);
        turns.push(&quick, 2, None, false);
        assert_eq!(turns.next(now), Next::File(2));
        // 1,000 of the 3,000 bytes were free, and the other 2,000 take two seconds.
        let Next::At(at) = turns.next(now) else { panic!("it does not wait") };
        assert!((Duration::from_secs(2)..Duration::from_millis(2100)).contains(&(at - now)), "{:?}", at - now);
        assert_eq!(turns.next(at), Next::File(1));
    }

    #[test]
    fn what_still_waits_some_time_after_a_rate_was_used_up_is_to_be_dropped_where_that_is_told() {
        let mut told = shares(&[("drop", 1, Some(1000)), ("delay", 1, Some(1000))]);
        told.entry("drop".to_owned()).and_modify(|share| share.over = Over::Drop);
        let mut turns = Turns::new(told, WAIT);
        let now = Instant::now();
        let pass = |turns: &mut Turns, at: Instant| {
            while let Next::File(id) = turns.next(at) {
                let tenant = if id < 10 { "drop" } else { "delay" };
                turns.spent(tenant, 1000);
                turns.push(&Arc::from(tenant), id, None, false);
            }
        };
        for (tenant, id, due) in [("drop", 1, false), ("drop", 2, true), ("delay", 10, false)] {
            turns.push(&Arc::from(tenant), id, due.then_some(now), false);
        }
        pass(&mut turns, now);
        assert!(turns.over(now + WAIT / 2).is_empty());
        pass(&mut turns, now + WAIT);
        let beyond = |file| Beyond { tenant: Arc::from("drop"), file, leave: 500 };
        let mut over = turns.over(now + WAIT);
        over.make_contiguous().sort_by_key(|beyond| beyond.file);
        assert_eq!(over, [beyond(1), beyond(2)]);
        assert!(turns.over(now + WAIT).is_empty());
        // Held again, but the loop was busy elsewhere until its rate had allowed it for long.
        pass(&mut turns, now + WAIT);
        assert!(turns.over(now + 3 * WAIT).is_empty());
    }

    #[test]
    fn a_tenant_that_has_caught_up_has_nothing_dropped() {
        let mut told = shares(&[("drop", 1, Some(1000))]);
        told.entry("drop".to_owned()).and_modify(|share| share.over = Over::Drop);
        let mut turns = Turns::new(told, WAIT);
        let (tenant, now) = (Arc::from("drop"), Instant::now());
        turns.push(&tenant, 1, None, false);
        assert_eq!(turns.next(now), Next::File(1));
        turns.spent("drop", 2000);
        turns.push(&tenant, 1, None, false);
        assert!(matches!(turns.next(now), Next::At(_)));
        let later = now + WAIT / 2;
        assert_eq!(turns.next(later), Next::File(1));
        turns.spent("drop", 10_000);
        assert_eq!(turns.next(later), Next::Nobody);
        turns.push(&tenant, 1, None, false);
        assert!(turns.over(now + WAIT).is_empty());
    }

    #[test]
    fn a_file_that_was_read_to_its_end_does_not_wait_for_what_was_left_from_before() {
        let (mut turns, tenant, now) = (Turns::default(), Arc::from("t"), Instant::now());
        for id in 0..1000 {
            turns.push(&tenant, id, (id % 2 == 0).then_some(now), false);
        }
        turns.push(&tenant, 1000, None, true);
        turns.push(&tenant, 1001, None, true);
        let first = [turns.next(now), turns.next(now), turns.next(now)];
        assert_eq!(first, [Next::File(1000), Next::File(0), Next::File(1001)]);
    }

    proptest! {
        #[test]
        fn every_file_gets_its_turn_once(
            pushed in prop::collection::vec((0_usize..4, prop::option::of(0_u64..9), 0_u64..2_000_000), 0..100),
        ) {
            let names: [Arc<str>; 4] = ["a", "b", "c", "d"].map(Arc::from);
            let mut turns = Turns::new(shares(&[("a", 7, None)]), WAIT);
            let now = Instant::now();
            for (id, &(tenant, due, _)) in pushed.iter().enumerate() {
                turns.push(&names[tenant], id as u64, due.map(|seconds| now + Duration::from_secs(seconds)), false);
            }
            let mut seen = Vec::new();
            while let Next::File(id) = turns.next(Instant::now()) {
                let (tenant, _, bytes) = pushed[id as usize];
                turns.spent(&names[tenant], bytes);
                seen.push(id);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..pushed.len() as u64).collect::<Vec<_>>());
            prop_assert!(turns.is_empty());
        }

        #[test]
        fn a_file_that_is_neither_due_nor_fresh_waits_for_four_turns_of_each_that_waited_before_it(
            before in prop::collection::vec(prop::option::of(0_u64..9), 0..20),
            turns_before in 0..2,
        ) {
            let (mut turns, tenant, now) = (Turns::default(), Arc::from("t"), Instant::now());
            let due = |seconds| now + Duration::from_secs(seconds);
            for _ in 0..turns_before {
                turns.push(&tenant, 0, None, false);
                turns.next(now);
            }
            for (id, seconds) in before.iter().enumerate() {
                turns.push(&tenant, id as u64, seconds.map(due), false);
            }
            turns.push(&tenant, 1000, None, false);
            // All others are pushed again, as files that are written faster than they can be read.
            let others = (0..1000).find(|_| match turns.next(now) {
                Next::File(1000) => true,
                Next::File(id) => {
                    turns.push(&tenant, id, Some(now), id % 2 == 0);
                    false
                }
                other => panic!("{other:?}"),
            });
            prop_assert!(others.unwrap() <= 4 * before.len() + 3);
        }
    }
}
