//! The unit of time of a limit.

use weir_proto::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit as Wire;

/// How long a window is. Windows begin at multiples of their length in unix time, so that all instances agree on them;
/// a month is 30 days and a year 365, as in envoyproxy/ratelimit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// As files name them.
    pub(super) const NAMES: [&'static str; 7] = ["second", "minute", "hour", "day", "week", "month", "year"];
    const ALL: [Self; 7] = [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// By its name, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        Some(Self::ALL[at])
    }

    /// As files name it.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().position(|unit| *unit == self).map_or("", |at| Self::NAMES[at])
    }

    /// By its number in Envoy's protocol, which is the same in both of Envoy's enumerations.
    pub(super) fn numbered(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.wire() as i32 == number)
    }

    /// In Envoy's protocol.
    pub(super) fn wire(self) -> Wire {
        match self {
            Self::Second => Wire::Second,
            Self::Minute => Wire::Minute,
            Self::Hour => Wire::Hour,
            Self::Day => Wire::Day,
            Self::Week => Wire::Week,
            Self::Month => Wire::Month,
            Self::Year => Wire::Year,
        }
    }

    /// Length.
    pub(super) fn seconds(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Month => 30 * 86_400,
            Self::Year => 365 * 86_400,
        }
    }

    /// First second behind the window that `now` lies in.
    pub(super) fn window_end(self, now_unix: i64) -> i64 {
        now_unix - now_unix.rem_euclid(self.seconds()) + self.seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_time_then_its_window_ends_at_a_multiple_of_the_unit() {
        for (name, now, end) in [
            ("second", 1_700_000_000, 1_700_000_001),
            ("MINUTE", 1_700_000_000, 1_700_000_040),
            ("Hour", 1_700_000_000, 1_700_002_800),
            ("day", 1_700_000_000, 1_700_006_400),
            ("week", 1_700_000_000, 1_700_092_800),
            ("month", 1_700_000_000, 1_700_352_000),
            ("year", 1_700_000_000, 1_702_944_000),
            ("minute", 1_700_000_040, 1_700_000_100),
        ] {
            let unit = Unit::named(name).unwrap();
            assert_eq!(unit.window_end(now), end, "{name}");
            assert_eq!(Unit::numbered(unit.wire() as i32), Some(unit));
        }
        assert_eq!((Unit::named("fortnight"), Unit::numbered(0), Unit::numbered(8)), (None, None, None));
    }
}
