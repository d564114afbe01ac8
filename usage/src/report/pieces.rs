//! Which cells make up a stretch of time: whole months and days of UTC where they fit, hours at the edges. Pure.

use jiff::tz::TimeZone;

use crate::quota::period::Per;
use crate::store::{DAY, HOUR, MONTH};

/// Seconds of an hour.
pub const HOUR_SECONDS: i64 = 3600;
/// Seconds of a day of UTC.
pub const DAY_SECONDS: i64 = 24 * HOUR_SECONDS;

/// Cells of one span whose starts lie in `[from, to)`, in unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Hour, day or month.
    pub span: i64,
    /// First start.
    pub from: i64,
    /// Behind the last start.
    pub to: i64,
}

/// Start of the hour that a unix second lies in.
pub fn hour_of(second: i64) -> i64 {
    second.div_euclid(HOUR_SECONDS).saturating_mul(HOUR_SECONDS)
}

/// Start of its day of UTC.
pub fn day_of(second: i64) -> i64 {
    second.div_euclid(DAY_SECONDS).saturating_mul(DAY_SECONDS)
}

/// Start of its month of UTC. Times beyond the calendar are in a month at its end.
pub fn month_of(second: i64) -> i64 {
    Per::Month.around(second, &TimeZone::UTC).start_unix
}

/// Start of the month behind; always later, even at the end of the calendar.
fn next_month(second: i64) -> i64 {
    Per::Month.around(second, &TimeZone::UTC).end_unix.max(second.saturating_add(1))
}

/// The pieces of `[start, end)`, in rising order; both are starts of hours.
pub fn of(start: i64, end: i64) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = start;
    while at < end {
        let next = next_month(at);
        let (span, to) = if month_of(at) == at && next <= end {
            (MONTH, next)
        } else if day_of(at) == at && at.saturating_add(DAY_SECONDS) <= end {
            (DAY, at.saturating_add(DAY_SECONDS))
        } else {
            (HOUR, at.saturating_add(HOUR_SECONDS))
        };
        match pieces.last_mut() {
            Some(last) if last.span == span && last.to == at => last.to = to,
            _ => pieces.push(Piece { span, from: at, to }),
        }
        at = to;
    }
    pieces
}

impl Piece {
    /// The starts of its cells.
    pub fn starts(&self) -> Vec<i64> {
        let mut starts = Vec::new();
        let mut at = self.from;
        while at < self.to {
            starts.push(at);
            at = match self.span {
                MONTH => next_month(at),
                DAY => at.saturating_add(DAY_SECONDS),
                _ => at.saturating_add(HOUR_SECONDS),
            };
        }
        starts
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn given_a_month_of_utc_then_it_is_one_cell_and_of_shanghai_one_month_less_its_edges() {
        let of = |start, end| of(at(start), at(end));
        assert_eq!(
            of("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            [Piece { span: MONTH, from: at("2026-10-01T00:00:00Z"), to: at("2026-11-01T00:00:00Z") }]
        );
        let shanghai = of("2026-09-30T16:00:00Z", "2026-10-31T16:00:00Z");
        let spans: Vec<_> = shanghai.iter().map(|piece| (piece.span, piece.starts().len())).collect();
        assert_eq!(spans, [(HOUR, 8), (DAY, 30), (HOUR, 16)]);
        let years = of("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        assert_eq!((years.len(), years[0].starts().len()), (1, 12));
        assert_eq!(of("2026-10-01T00:00:00Z", "2026-10-01T00:00:00Z"), []);
    }

    proptest! {
        #[test]
        fn given_any_hours_then_the_pieces_cover_them_once(start in -100_000_i64..1_000_000, hours in 0_i64..20_000) {
            let (start, end) = (start * HOUR_SECONDS, (start + hours) * HOUR_SECONDS);
            let pieces = of(start, end);
            let mut reached = start;
            for piece in &pieces {
                prop_assert_eq!(piece.from, reached);
                prop_assert!(piece.to > piece.from);
                reached = piece.to;
            }
            prop_assert_eq!(reached, end.max(start));
        }

        #[test]
        fn given_any_second_then_its_cells_begin_before_it(second in any::<i64>()) {
            for start in [hour_of(second), day_of(second)] {
                prop_assert!(start <= second || second < -9_000_000_000_000_000_000);
            }
            month_of(second);
            next_month(second);
        }
    }
}
