//! When the kubelet will delete a file: what it will delete first is read first.
//!
//! Every few seconds the kubelet looks at the logs of containers. Where the one that is written has reached `max_size`,
//! it deletes the oldest of those that were rotated, until `max_files - 2` are left, packs these, and renames that one:
//! with the new one they are `max_files` again. So a generation that `n` younger ones follow is deleted when the
//! container has filled `max_files - n` files, of which the one that is written is the first; how long that takes is told
//! by the speed at which the container was seen to write. Between two looks of the kubelet a file may become much greater
//! than `max_size`: then the next ones will too.
//!
//! Files that are no container's are taken for such ones once they were rotated, and before that for ones that stay.

use std::path::Path;
use std::time::{Duration, Instant};

use ahash::AHashMap;

use super::checkpoint::Entry;
use super::source::Source;
use super::tail::Tail;

/// Speeds are those of about so long ago until now.
const MEMORY: Duration = Duration::from_secs(10);
/// Two looks at a size have to lie so far apart to tell a speed.
const LEAST: Duration = Duration::from_millis(100);
/// What is further away is never.
const NEVER: f64 = 1e9;

/// What is known of how a generation is written, and of those around it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Outlook {
    /// Generations of the same file that came later.
    younger: u64,
    /// Bytes that a generation of it has when it is rotated away; 0 before that was looked at.
    full: u64,
    /// Bytes a second.
    speed: f64,
    /// A size that it had, and when.
    seen: Option<(Instant, u64)>,
}

impl Outlook {
    /// It had this size then.
    pub(super) fn saw(&mut self, size: u64, now: Instant) {
        let Some((then, before)) = self.seen else {
            self.seen = Some((now, size));
            return;
        };
        let passed = now.saturating_duration_since(then);
        if passed >= LEAST {
            let speed = size.saturating_sub(before) as f64 / passed.as_secs_f64();
            let weight = 1.0 - (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
            self.speed += (speed - self.speed) * weight;
            self.seen = Some((now, size));
        }
    }

    /// When it is deleted, if the file that is written now goes on as `live`.
    fn due(&self, live: &Self, max_files: u32, now: Instant) -> Option<Instant> {
        let written = live.seen.map_or(0, |(_, size)| size);
        let left = u64::from(max_files).saturating_sub(self.younger).saturating_mul(self.full).saturating_sub(written);
        let seconds = left as f64 / live.speed;
        (self.full > 0 && seconds < NEVER).then(|| now + Duration::from_secs_f64(seconds))
    }
}

impl Source {
    /// When the kubelet will have deleted this file, where that is to be feared: not of one of which all was read a
    /// moment ago.
    pub(super) fn due(&self, tail: &Tail) -> Option<Instant> {
        if tail.at_end || (tail.rotated.is_none() && tail.facts.folder.is_none()) {
            return None;
        }
        if tail.rotated.is_none() {
            return tail.outlook.due(&tail.outlook, self.kubelet.max_files, Instant::now());
        }
        let live = self.by_target.get(Path::new(&tail.entry.target)).and_then(|id| self.tails.get(id));
        match live.filter(|live| live.rotated.is_none()) {
            Some(live) => tail.outlook.due(&live.outlook, self.kubelet.max_files, Instant::now()),
            // Its container, or its pod, may be gone: then it may be gone at any time.
            None => tail.rotated,
        }
    }
}

/// Counts the generations of each file, and tells new ones how fast the one before was written.
pub(super) fn look_ahead(source: &mut Source) {
    let mut files: AHashMap<&str, Vec<(&Entry, f64)>> = AHashMap::new();
    let tails = source.tails.values().map(|tail| (&tail.entry, tail.outlook.speed));
    for (entry, speed) in tails.chain(source.known.values().map(|entry| (entry, 0.0))) {
        files.entry(&entry.target).or_default().push((entry, speed));
    }
    let (now, nanos) = (Instant::now(), weir_service::time::now_unix_nano() as u64);
    let mut outlooks = Vec::new();
    for (id, tail) in &source.tails {
        let Some(all) = files.get(&*tail.entry.target) else { continue };
        let (born, rotated, mut outlook) = (tail.entry.born, tail.rotated.is_some(), tail.outlook);
        let younger = all.iter().filter(|(other, _)| other.born > born).count() as u64;
        let before = all.iter().filter(|(other, _)| other.born < born);
        let whole = all.iter().filter(|(other, _)| rotated || other.born < born);
        outlook.younger = if rotated { younger.max(1) } else { 0 };
        outlook.full = whole.map(|(other, _)| other.size).fold(source.kubelet.max_size.0, u64::max);
        if outlook.seen.is_none() {
            // Since it came to be; that just now tells little.
            let age = born.map_or(0, |born| nanos.saturating_sub(born));
            let average = tail.entry.size as f64 / Duration::from_nanos(age).max(MEMORY).as_secs_f64();
            outlook.speed = before.map(|(_, speed)| *speed).fold(average, f64::max);
            outlook.saw(tail.entry.size, now);
        }
        outlooks.push((*id, outlook));
    }
    for (id, outlook) in outlooks {
        if let Some(tail) = source.tails.get_mut(&id) {
            tail.outlook = outlook;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn a_generation_is_due_when_the_kubelet_deletes_it() {
        const FULL: u64 = 1000;
        for max_files in 2..7 {
            // Sizes, the youngest first; when each generation was due, as told each time that a byte was written.
            let (mut files, mut now) = (VecDeque::from([(0, None)]), Instant::now());
            for _ in 0..10 * FULL {
                files[0].0 += 1;
                now += Duration::from_secs(1);
                let live = Outlook { speed: 1.0, seen: Some((now, files[0].0)), ..Outlook::default() };
                for (younger, (_, told)) in files.iter_mut().enumerate() {
                    let outlook = Outlook { younger: younger as u64, full: FULL, ..Outlook::default() };
                    let due = outlook.due(&live, max_files, now).unwrap();
                    assert_eq!(*told.get_or_insert(due), due);
                }
                if files[0].0 == FULL {
                    // As the kubelet does it.
                    while files.len() - 1 > max_files as usize - 2 {
                        assert_eq!(files.pop_back().unwrap().1, Some(now));
                    }
                    files.push_front((0, None));
                    assert!(files.len() <= max_files as usize);
                }
            }
        }
    }

    #[test]
    fn what_is_not_written_is_never_due_and_a_speed_is_that_of_the_last_seconds() {
        let (mut outlook, now) = (Outlook { full: 1000, ..Outlook::default() }, Instant::now());
        outlook.saw(0, now);
        assert_eq!(outlook.due(&outlook, 5, now), None);
        for second in 1..60 {
            outlook.saw(second * 100, now + Duration::from_secs(second));
        }
        assert!((99.0..101.0).contains(&outlook.speed), "{}", outlook.speed);
        outlook.saw(5900, now + Duration::from_secs(160));
        assert!(outlook.speed < 1.0, "{}", outlook.speed);
    }
}
