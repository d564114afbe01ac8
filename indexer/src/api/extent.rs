//! How much of what reached the bus an answer was made of.

use serde_json::{Value, json};

use crate::snapshot::Snapshot;
use crate::store::{Gap, Reason};

/// What an answer says of it: `"indexed_until"`, and `"gaps":[{"start","end","partition","reason","records"}]`. Records
/// that arrived between the two times are missing, of tenants and sources that nobody knows; a time is null where the gap
/// is open to that side, and `records` where their number is not known. The reason is `dropped` (by the bus, before they
/// were read) or `recreated` (the topic was, and what it held last was not read).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) indexed_until: i64,
    gaps: Vec<Gap>,
}

impl Extent {
    /// Of an answer over `[start, end)`.
    pub(crate) fn of(snapshot: &dyn Snapshot, start: i64, end: i64) -> Self {
        Self { indexed_until: snapshot.indexed_until(), gaps: snapshot.gaps(start, end) }
    }

    /// Of two parts of one answer.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { indexed_until: self.indexed_until.min(other.indexed_until), gaps: other.gaps }
    }

    /// Adds it to an answer, which is an object.
    pub(crate) fn show(&self, answer: &mut Value) {
        answer["indexed_until"] = weir_service::time::format(self.indexed_until).into();
        answer["gaps"] = self.gaps.iter().map(gap).collect();
    }
}

fn gap(gap: &Gap) -> Value {
    let time = |ms: Option<i64>| ms.map(|ms| weir_service::time::format(ms.saturating_mul(1_000_000)));
    let reason = match gap.reason() {
        Reason::Dropped => "dropped",
        Reason::Remade => "recreated",
    };
    json!({
        "start": time(gap.after_ms),
        "end": time(gap.before_ms),
        "partition": gap.partition,
        "reason": reason,
        "records": gap.records(),
    })
}
