//! Groups: who is a member, and which partitions each reads. Pure.
//!
//! Every change of the members, or of the topics' partitions, makes a new generation; all members give up what they
//! had and are given their share of it anew, as with Kafka's eager protocol and its range assignor. What a member
//! commits counts only in the generation that gave it the partition.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::{Error, Partition};

/// All groups of a broker.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<Arc<str>, Group>,
    last_member: u64,
}

#[derive(Debug, Default)]
struct Group {
    generation: u64,
    members: BTreeMap<u64, Member>,
}

#[derive(Debug)]
struct Member {
    topics: Vec<Arc<str>>,
    assigned: Vec<Partition>,
}

/// Who commits: a member, as of a generation.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    pub(super) group: Arc<str>,
    pub(super) member: u64,
    pub(super) generation: u64,
}

impl Groups {
    /// Adds a member that wants a share of `topics`; `count` tells a topic's partitions.
    pub(super) fn join(&mut self, group: &Arc<str>, topics: Vec<Arc<str>>, count: impl Fn(&str) -> i32) -> u64 {
        self.last_member += 1;
        let member = self.last_member;
        let group = self.groups.entry(group.clone()).or_default();
        group.members.insert(member, Member { topics, assigned: Vec::new() });
        group.rebalance(&count);
        member
    }

    /// Removes a member.
    pub(super) fn leave(&mut self, group: &str, member: u64, count: impl Fn(&str) -> i32) {
        let Some(left) = self.groups.get_mut(group) else { return };
        if left.members.remove(&member).is_some() {
            left.rebalance(&count);
        }
        // No member's number is given twice, so nobody takes a later generation of it for an earlier one.
        if left.members.is_empty() {
            self.groups.remove(group);
        }
    }

    /// Deals out a topic anew whose number of partitions changed.
    pub(super) fn topic_changed(&mut self, topic: &str, count: impl Fn(&str) -> i32) {
        for group in self.groups.values_mut() {
            if group.members.values().any(|member| member.topics.iter().any(|name| **name == *topic)) {
                group.rebalance(&count);
            }
        }
    }

    /// The present generation of a group and what it gives to a member.
    pub(super) fn assignment(&self, group: &str, member: u64) -> Option<(u64, &[Partition])> {
        let group = self.groups.get(group)?;
        Some((group.generation, &group.members.get(&member)?.assigned))
    }

    /// Whether `by` may commit a position of these partitions now.
    pub(super) fn check<'a>(
        &self,
        by: &Membership,
        partitions: impl IntoIterator<Item = &'a Partition>,
    ) -> Result<(), Error> {
        let fenced = |why: &str| Error::Fenced(format!("group {}: {why}", by.group));
        let (generation, assigned) =
            self.assignment(&by.group, by.member).ok_or_else(|| fenced("no longer a member"))?;
        if generation != by.generation {
            return Err(fenced("partitions were dealt out anew"));
        }
        for partition in partitions {
            if !assigned.contains(partition) {
                return Err(fenced(&format!("{}/{} is not this member's", partition.topic, partition.partition)));
            }
        }
        Ok(())
    }
}

impl Group {
    fn rebalance(&mut self, count: &impl Fn(&str) -> i32) {
        self.generation += 1;
        let mut wanted: BTreeMap<Arc<str>, Vec<u64>> = BTreeMap::new();
        for (id, member) in &mut self.members {
            member.assigned.clear();
            for topic in &member.topics {
                wanted.entry(topic.clone()).or_default().push(*id);
            }
        }
        for (topic, members) in wanted {
            for (member, range) in members.iter().zip(ranges(count(&topic), members.len())) {
                if let Some(member) = self.members.get_mut(member) {
                    member.assigned.extend(range.map(|n| Partition::new(topic.clone(), n)));
                }
            }
        }
    }
}

/// Cuts `partitions` into `members` ranges whose lengths differ by at most one, the longer ones first.
fn ranges(partitions: i32, members: usize) -> impl Iterator<Item = std::ops::Range<i32>> {
    let members = i32::try_from(members.max(1)).unwrap_or(i32::MAX);
    let (each, more) = (partitions / members, partitions % members);
    (0..members).map(move |i| {
        let start = i * each + i.min(more);
        start..start + each + i32::from(i < more)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_cover_every_partition_once_and_evenly(partitions in 0..50_i32, members in 1..20_usize) {
            let all: Vec<_> = ranges(partitions, members).collect();
            prop_assert_eq!(all.iter().cloned().flatten().collect::<Vec<_>>(), (0..partitions).collect::<Vec<_>>());
            let lengths: Vec<_> = all.iter().map(ExactSizeIterator::len).collect();
            prop_assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn a_commit_of_an_older_generation_is_fenced() {
        let (mut groups, group, count) = (Groups::default(), Arc::from("g"), |_: &str| 2);
        let first = groups.join(&group, vec!["t".into()], count);
        let (generation, assigned) = groups.assignment("g", first).unwrap();
        let (by, assigned) = (Membership { group: group.clone(), member: first, generation }, assigned.to_vec());
        assert_eq!(assigned.len(), 2);
        groups.check(&by, &assigned).unwrap();

        let second = groups.join(&group, vec!["t".into()], count);
        assert!(matches!(groups.check(&by, &assigned), Err(Error::Fenced(_))));
        let (generation, assigned) = groups.assignment("g", second).unwrap();
        assert_eq!(assigned, [Partition::new("t", 1)]);
        let by = Membership { group: group.clone(), member: second, generation };
        groups.check(&by, &[Partition::new("t", 1)]).unwrap();
        assert!(matches!(groups.check(&by, &[Partition::new("t", 0)]), Err(Error::Fenced(_))));

        groups.leave("g", first, count);
        assert_eq!(groups.assignment("g", second).unwrap().1.len(), 2);
        assert!(groups.assignment("g", first).is_none());
        groups.leave("g", second, count);
        assert!(groups.groups.is_empty());
    }

    #[test]
    fn a_topic_that_grows_is_dealt_out_anew() {
        let (mut groups, group) = (Groups::default(), Arc::from("g"));
        let member = groups.join(&group, vec!["t".into()], |_| 1);
        groups.topic_changed("other", |_| 3);
        assert_eq!(groups.assignment("g", member).unwrap().1.len(), 1);
        groups.topic_changed("t", |_| 3);
        assert_eq!(groups.assignment("g", member).unwrap().1.len(), 3);
    }
}
