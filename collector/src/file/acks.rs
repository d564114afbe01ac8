//! How far a file generation is durable.
//!
//! Batches are sent in order and may become durable in any order; [`Acks::durable`] only passes a batch when all
//! before it are durable, so a checkpoint written from it never skips bytes. A crash reads again from there.

use std::collections::VecDeque;

/// Names one batch in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// The caller broke the order of things; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// A batch ended before it began.
    Backwards,
    /// No batch in flight has this ticket, or it was acknowledged before.
    UnknownTicket,
}

/// The batches in flight of one file generation. Their number is the caller's to bound.
#[derive(Debug)]
pub struct Acks {
    durable: u64,
    sent: u64,
    first: u64,
    /// End and whether it is durable, by ticket from `first`.
    flight: VecDeque<(u64, bool)>,
}

impl Acks {
    /// Everything before `position` is durable, nothing is in flight.
    pub fn new(position: u64) -> Self {
        Self { durable: position, sent: position, first: 0, flight: VecDeque::new() }
    }

    /// A batch that goes on from [`Self::sent`] to `end` is on its way.
    pub fn send(&mut self, end: u64) -> Result<Ticket, Misuse> {
        if end < self.sent {
            return Err(Misuse::Backwards);
        }
        self.sent = end;
        self.flight.push_back((end, false));
        Ok(Ticket(self.first + self.flight.len() as u64 - 1))
    }

    /// This batch is durable. Returns the new [`Self::durable`].
    pub fn acknowledge(&mut self, ticket: Ticket) -> Result<u64, Misuse> {
        let at = ticket.0.checked_sub(self.first).ok_or(Misuse::UnknownTicket)?;
        match self.flight.get_mut(at as usize) {
            Some((_, done)) if !*done => *done = true,
            _ => return Err(Misuse::UnknownTicket),
        }
        while let Some(&(end, true)) = self.flight.front() {
            self.durable = end;
            self.flight.pop_front();
            self.first += 1;
        }
        Ok(self.durable)
    }

    /// All bytes before this are durable: the checkpoint.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// A batch is durable though one before it is not: where the earlier one failed, going back would send again what
    /// readers have passed.
    pub fn has_gap(&self) -> bool {
        self.flight.iter().any(|&(_, done)| done)
    }

    /// Nothing was sent after this batch.
    pub fn is_last(&self, ticket: Ticket) -> bool {
        ticket.0 + 1 == self.first + self.flight.len() as u64
    }

    /// Where the next batch starts.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checkpoint_waits_for_the_oldest_batch() {
        let mut acks = Acks::new(10);
        let (first, second) = (acks.send(20).unwrap(), acks.send(30).unwrap());
        assert!(acks.is_last(second) && !acks.is_last(first));
        assert_eq!(acks.acknowledge(second), Ok(10));
        assert_eq!(acks.acknowledge(first), Ok(30));
        assert_eq!(acks.acknowledge(first), Err(Misuse::UnknownTicket));
        assert_eq!(acks.send(29), Err(Misuse::Backwards));
    }

    proptest! {
        #[test]
        fn in_any_order_the_checkpoint_is_the_lowest_unacknowledged_start(
            order in Just((0_usize..12).collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut acks = Acks::new(0);
            let tickets: Vec<_> = (1..=12).map(|n| acks.send(n * 7).unwrap()).collect();
            let mut done = [false; 12];
            for at in order {
                done[at] = true;
                let whole = done.iter().take_while(|&&d| d).count() as u64;
                prop_assert_eq!(acks.acknowledge(tickets[at]), Ok(whole * 7));
            }
        }
    }
}
