//! Captures: from spans on the bus to datasets, what redaction costs, and memory while datasets cannot be written.

mod captures;
mod redact;
mod room;
mod spans;
mod stalled;
mod text;

pub(crate) use self::captures::captures;
pub(crate) use self::redact::redact;
pub(crate) use self::spans::floor;
pub(crate) use self::stalled::stalled;
