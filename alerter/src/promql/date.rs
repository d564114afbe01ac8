//! Parts of a date, in UTC.

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Hour,
    Minute,
    Month,
    Year,
}

impl Part {
    /// Of a time in unix seconds; NaN where that is NaN.
    pub(super) fn of(self, unix_seconds: f64) -> f64 {
        if unix_seconds.is_nan() {
            return f64::NAN;
        }
        // A conversion keeps to the greatest and the least number there is, which is far enough from an overflow here.
        let seconds = unix_seconds as i64;
        let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let date = Date::of(day);
        let value = match self {
            Self::DayOfMonth => date.day,
            // 1970-01-01 was a Thursday.
            Self::DayOfWeek => (day + 4).rem_euclid(7),
            Self::DayOfYear => day - Date::days_before(date.year, 1) + 1,
            Self::DaysInMonth => {
                let next = if date.month == 12 { (date.year + 1, 1) } else { (date.year, date.month + 1) };
                Date::days_before(next.0, next.1) - Date::days_before(date.year, date.month)
            }
            Self::Hour => second / 3600,
            Self::Minute => second % 3600 / 60,
            Self::Month => date.month,
            Self::Year => date.year,
        };
        value as f64
    }
}

/// A day of the proleptic Gregorian calendar.
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

/// Days in 400 years, after which the calendar repeats.
const CYCLE_DAYS: i64 = 146_097;
/// Days from 0000-03-01, where a cycle starts, to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

impl Date {
    /// Years are counted from March, so that a leap day is the last of its year.
    fn of(unix_day: i64) -> Self {
        let shifted = unix_day + EPOCH_DAYS;
        let (cycle, in_cycle) = (shifted.div_euclid(CYCLE_DAYS), shifted.rem_euclid(CYCLE_DAYS));
        let year = (in_cycle - in_cycle / 1460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
        let in_year = in_cycle - (365 * year + year / 4 - year / 100);
        let from_march = (5 * in_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self { year: cycle * 400 + year + i64::from(month <= 2), month, day: in_year - (153 * from_march + 2) / 5 + 1 }
    }

    /// Unix days before the first of a month.
    fn days_before(year: i64, month: i64) -> i64 {
        let year = if month <= 2 { year - 1 } else { year };
        let (cycle, in_cycle) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = if month > 2 { month - 3 } else { month + 9 };
        let in_year = (153 * from_march + 2) / 5;
        cycle * CYCLE_DAYS + in_cycle * 365 + in_cycle / 4 - in_cycle / 100 + in_year - EPOCH_DAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_date_are_those_of_the_calendar() {
        let all = [
            Part::Year,
            Part::Month,
            Part::DayOfMonth,
            Part::DayOfWeek,
            Part::DayOfYear,
            Part::DaysInMonth,
            Part::Hour,
            Part::Minute,
        ];
        for (seconds, want) in [
            (0.0, [1970, 1, 1, 4, 1, 31, 0, 0]),
            (1_709_210_096.0, [2024, 2, 29, 4, 60, 29, 12, 34]),
            (-1.0, [1969, 12, 31, 3, 365, 31, 23, 59]),
            (4_107_542_399.0, [2100, 2, 28, 0, 59, 28, 23, 59]),
        ] {
            assert_eq!(all.map(|part| part.of(seconds) as i64), want, "{seconds}");
        }
    }

    #[test]
    fn no_number_is_too_odd_for_a_date() {
        assert!(Part::Year.of(f64::NAN).is_nan());
        for odd in [f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300] {
            assert!(Part::DaysInMonth.of(odd) >= 28.0 && Part::DayOfYear.of(odd) >= 1.0);
        }
    }
}
