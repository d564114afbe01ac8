//! Positions in files.

mod acks;

pub use acks::{Acks, Misuse, Ticket};
