//! Publishes the state of alerts on `weir_alerts`, for other rooms and programs that follow it.
//!
//! The engine hands over what holds after each evaluation and never waits: a newer [`Standing`] replaces one that was
//! not written yet, so the queue holds one state of each alert. [`plan::Plan`] decides which records are missing on the topic;
//! [`Publisher`] writes them, the progress last, once all others are durable. After a failure the plan is made again from
//! what holds by then.
//! Where event time leaps, as after a stop, an alert may have fired and ended several times in between: each of these
//! periods is written too.
//!
//! Nothing is read back at a start: all that holds is written again. What is on the topic and unknown to the rules stops
//! counting by itself: readers take a firing alert as resolved that no alerter has stated for three minutes of event
//! time, and forget a resolved one after an hour, tombstone or not (see [`weir_calls::alerts`]). So an alerter that has
//! just lost its state does not end alerts that other alerters still see fire.

mod plan;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use plan::Standing;
pub(crate) use task::Publisher;
