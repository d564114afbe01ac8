//! Who used a GPU: samples of processes to seconds and joules of containers. Pure.
//!
//! Of an interval of `t` seconds, a container gets the time that its processes' samples stand for: a sample of `u` percent
//! stands for the time since the one before it of the same process, or since the last visit. Only where they come to more
//! than `t`, all are scaled down to it. Where the device was busy for longer than they come to, the rest belongs to nobody;
//! where it says to have been busy for less, its processes are believed, as its own figure may be of a moment. Energy is
//! dealt out by the container's part of `t`, so what an idle GPU takes belongs to nobody too. So the parts always add up
//! to the device.

use std::collections::{BTreeMap, HashMap};

/// A driver's sample of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) pid: u32,
    /// Microseconds since the epoch.
    pub(super) time: u64,
    /// Percent of the time in which it ran on the GPU.
    pub(super) percent: u32,
}

/// What somebody used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Used {
    pub(super) seconds: f64,
    pub(super) joules: f64,
}

/// Deals out `elapsed` seconds, of which the device says to have been busy for `busy`, and `joules`. `owner` names whose a
/// sample is; samples of nobody are nobody's. Returns the owners' parts, and nobody's.
pub(super) fn deal<T: Ord>(
    samples: &[Sample],
    last_seen: u64,
    elapsed: f64,
    busy: Option<f64>,
    joules: f64,
    mut owner: impl FnMut(&Sample) -> Option<T>,
) -> (BTreeMap<T, Used>, Used) {
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by_key(|sample| (sample.pid, sample.time));
    let mut before: HashMap<u32, u64> = HashMap::new();
    let mut owned: BTreeMap<T, f64> = BTreeMap::new();
    let mut others = 0.0;
    for sample in sorted {
        let since = before.insert(sample.pid, sample.time).unwrap_or(last_seen);
        let span = (sample.time.saturating_sub(since) as f64 / 1e6).min(elapsed);
        let seconds = span * f64::from(sample.percent.min(100)) / 100.0;
        match owner(sample) {
            Some(owner) => *owned.entry(owner).or_default() += seconds,
            None => others += seconds,
        }
    }
    let sum = owned.values().sum::<f64>() + others;
    let busy = busy.unwrap_or(0.0).max(sum).clamp(0.0, elapsed.max(0.0));
    let scale = if sum > busy { busy / sum } else { 1.0 };
    let mut rest = Used { seconds: busy, joules };
    let parts = owned.into_iter().map(|(owner, seconds)| {
        let seconds = seconds * scale;
        let joules = if elapsed > 0.0 { joules * seconds / elapsed } else { 0.0 };
        rest.seconds = (rest.seconds - seconds).max(0.0);
        rest.joules = (rest.joules - joules).max(0.0);
        (owner, Used { seconds, joules })
    });
    let parts = parts.collect();
    (parts, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(pid: u32, time: u64, percent: u32) -> Sample {
        Sample { pid, time, percent }
    }

    #[test]
    fn every_sample_since_the_last_visit_counts() {
        // Four seconds, of which the device was busy for three: a ran at 50% for two and at 100% for one.
        let samples = [sample(1, 2_000_000, 50), sample(1, 3_000_000, 100), sample(2, 4_000_000, 10)];
        let owner = |sample: &Sample| (sample.pid == 1).then_some("a");
        let (parts, rest) = deal(&samples, 0, 4.0, Some(3.0), 400.0, owner);
        assert_eq!(parts["a"], Used { seconds: 2.0, joules: 200.0 });
        assert_eq!(rest, Used { seconds: 1.0, joules: 200.0 });
        // It paused at the visit: its processes ran all the same.
        let (parts, rest) = deal(&samples, 0, 4.0, Some(0.0), 400.0, owner);
        assert_eq!(parts["a"], Used { seconds: 2.0, joules: 200.0 });
        assert!((rest.seconds - 0.4).abs() < 1e-9, "{rest:?}");
    }

    proptest! {
        #[test]
        fn the_parts_add_up_to_the_device(
            samples in prop::collection::vec((0_u32..6, 0_u64..8_000_000, 0_u32..150), 0..40),
            busy in prop::option::of(0.0..6.0_f64),
            joules in 0.0..1e6_f64,
        ) {
            let samples: Vec<_> = samples.into_iter().map(|(pid, time, percent)| sample(pid, time, percent)).collect();
            let (parts, rest) = deal(&samples, 1_000_000, 5.0, busy, joules, |s| (s.pid > 1).then_some(s.pid));
            let seconds = parts.values().map(|part| part.seconds).sum::<f64>() + rest.seconds;
            let energy = parts.values().map(|part| part.joules).sum::<f64>() + rest.joules;
            if let Some(busy) = busy {
                prop_assert!(seconds > busy.min(5.0) - 1e-6, "{seconds} of {busy}");
            }
            prop_assert!(seconds <= 5.0 + 1e-6);
            prop_assert!((energy - joules).abs() < 1e-6 * joules.max(1.0));
        }
    }
}
