//! Whose turn it is: a pure type without threads or clocks.
//!
//! Turns are fair by tenant, then by query: the next turn goes to the tenant that has had least work, and of its queries
//! to the one that has had least. Who comes anew starts beside the least served, so it neither waits for what others have
//! had before nor gains by leaving and coming back; a new query starts [`HEAD_START`] before that, so short ones pass.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Work, in nanoseconds, by which a new query comes before the least served of its tenant.
const HEAD_START: u64 = 50_000_000;

/// A query, in order of arrival.
pub(super) type Id = u64;

/// Queries that run or wait for a turn.
#[derive(Debug, Default)]
pub(super) struct Queue {
    at_once: usize,
    running: usize,
    next: Id,
    tenants: BTreeMap<Arc<str>, Tenant>,
    /// Work of the least served tenant; only rises.
    clock: u64,
}

#[derive(Debug, Default)]
struct Tenant {
    had: u64,
    /// Work of its least served query; only rises.
    clock: u64,
    queries: BTreeMap<Id, Query>,
}

#[derive(Debug)]
struct Query {
    had: u64,
    is_running: bool,
}

impl Queue {
    pub(super) fn new(at_once: usize) -> Self {
        Self { at_once, ..Self::default() }
    }

    /// A query begins to wait; `had` is what it had in earlier parts of the same answer.
    pub(super) fn join(&mut self, tenant: &Arc<str>, had: u64) -> Id {
        let (id, clock) = (self.next, self.clock);
        self.next += 1;
        let of = self.tenants.entry(tenant.clone()).or_insert_with(|| Tenant { had: clock, ..Tenant::default() });
        let had = had.max(of.clock.saturating_sub(HEAD_START));
        of.queries.insert(id, Query { had, is_running: false });
        id
    }

    /// Gives the next turn, where there is one to give and somebody waits.
    pub(super) fn grant(&mut self) -> Option<Id> {
        if self.running >= self.at_once {
            return None;
        }
        let (tenant, id) = self.first(|_, query| !query.is_running)?;
        self.tenants.get_mut(&tenant)?.queries.get_mut(&id)?.is_running = true;
        self.running += 1;
        Some(id)
    }

    /// A running query did work.
    pub(super) fn charge(&mut self, tenant: &Arc<str>, id: Id, work: u64) {
        if let Some(of) = self.tenants.get_mut(tenant)
            && let Some(query) = of.queries.get_mut(&id)
        {
            query.had += work;
            of.had += work;
            let least = of.queries.values().map(|query| query.had).min();
            of.clock = of.clock.max(least.unwrap_or(0));
            let least = self.tenants.values().map(|tenant| tenant.had).min();
            self.clock = self.clock.max(least.unwrap_or(0));
        }
    }

    /// A running query gives its turn back where somebody waits who comes before it; whether it did.
    pub(super) fn give_way(&mut self, tenant: &Arc<str>, id: Id) -> bool {
        if self.first(|other, query| !query.is_running || other == id).is_none_or(|(_, first)| first == id) {
            return false;
        }
        let query = self.tenants.get_mut(tenant).and_then(|of| of.queries.get_mut(&id));
        let gave = query.is_some_and(|query| std::mem::take(&mut query.is_running));
        self.running -= usize::from(gave);
        gave
    }

    pub(super) fn is_running(&self, tenant: &Arc<str>, id: Id) -> bool {
        self.tenants.get(tenant).and_then(|of| of.queries.get(&id)).is_some_and(|query| query.is_running)
    }

    /// A query is done, or gone; what it has had by now.
    pub(super) fn leave(&mut self, tenant: &Arc<str>, id: Id) -> Option<u64> {
        let of = self.tenants.get_mut(tenant)?;
        let query = of.queries.remove(&id)?;
        self.running -= usize::from(query.is_running);
        if of.queries.is_empty() {
            self.tenants.remove(tenant);
        }
        Some(query.had)
    }

    /// Who comes first of those that `takes` says.
    fn first(&self, takes: impl Fn(Id, &Query) -> bool) -> Option<(Arc<str>, Id)> {
        let first = |(name, of): (&Arc<str>, &Tenant)| {
            let queries = of.queries.iter().filter(|&(id, query)| takes(*id, query));
            let (had, id) = queries.map(|(id, query)| (query.had, *id)).min()?;
            Some(((of.had, had, id), name.clone()))
        };
        self.tenants.iter().filter_map(first).min().map(|((_, _, id), name)| (name, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets everybody run in slices of 10 until all have had their work; by query, when it was done.
    fn simulate(at_once: usize, mut arrivals: Vec<(u64, &str, u64)>) -> Vec<u64> {
        let mut queue = Queue::new(at_once);
        let mut left: BTreeMap<Id, (usize, Arc<str>, u64)> = BTreeMap::new();
        let mut done = vec![0; arrivals.len()];
        let mut came = 0;
        arrivals.sort_by_key(|arrival| arrival.0);
        for now in (0..).step_by(10) {
            while let Some((_, tenant, work)) = arrivals.get(came).filter(|arrival| arrival.0 <= now) {
                let tenant: Arc<str> = (*tenant).into();
                left.insert(queue.join(&tenant, 0), (came, tenant, *work));
                came += 1;
            }
            while queue.grant().is_some() {}
            for (id, (at, tenant, work)) in left.clone() {
                if queue.is_running(&tenant, id) {
                    queue.charge(&tenant, id, 10_000_000);
                    if work <= 10 {
                        done[at] = now + 10;
                        left.remove(&id);
                        assert!(queue.leave(&tenant, id).is_some());
                    } else {
                        left.insert(id, (at, tenant, work - 10));
                    }
                }
            }
            for (id, (_, tenant, _)) in &left {
                if queue.is_running(tenant, *id) {
                    queue.give_way(tenant, *id);
                }
            }
            if left.is_empty() && came == arrivals.len() {
                assert!(queue.tenants.is_empty() && queue.running == 0);
                return done;
            }
        }
        done
    }

    #[test]
    fn given_heavy_queries_then_a_light_one_of_the_same_tenant_does_not_wait_for_them() {
        let mut arrivals = vec![(0, "acme", 5_000); 40];
        arrivals.push((30_000, "acme", 40));
        let done = simulate(2, arrivals);
        assert!(done[40] <= 30_000 + 60, "{}", done[40]);
    }

    #[test]
    fn given_two_tenants_then_each_has_half_however_many_queries_it_has() {
        let mut arrivals = vec![(0, "many", 1_000); 9];
        arrivals.push((0, "one", 1_000));
        let done = simulate(1, arrivals);
        assert!((1_990..=2_010).contains(&done[9]), "{done:?}");
    }

    #[test]
    fn given_a_tenant_that_comes_back_then_it_owes_nothing_and_has_gained_nothing() {
        let done = simulate(1, vec![(0, "a", 1_000), (0, "b", 100), (500, "b", 100), (700, "b", 100)]);
        let took = [done[1], done[2] - 500, done[3] - 700];
        assert!(took.iter().all(|took| (190..=210).contains(took)), "{took:?}");
    }

    #[test]
    fn given_short_queries_one_after_the_other_then_a_long_one_goes_on() {
        let mut arrivals = vec![(0, "acme", 1_000)];
        arrivals.extend((0..400).map(|n| (n * 100, "acme", 80)));
        let done = simulate(1, arrivals);
        assert!(done[0] < 6_000, "{}", done[0]);
    }

    #[test]
    fn given_no_turn_then_nobody_gets_one_until_it_is_given_back() {
        let (mut queue, tenant) = (Queue::new(1), Arc::<str>::from("acme"));
        let (first, second) = (queue.join(&tenant, 0), queue.join(&tenant, 0));
        assert_eq!((queue.grant(), queue.grant()), (Some(first), None));
        queue.charge(&tenant, first, 1);
        assert!(queue.give_way(&tenant, first));
        assert_eq!(queue.grant(), Some(second));
        assert_eq!(queue.leave(&tenant, first), Some(1));
        assert_eq!((queue.leave(&tenant, second), queue.leave(&tenant, second)), (Some(0), None));
    }
}
