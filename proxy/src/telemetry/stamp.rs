//! Time as people read it: RFC 3339 in UTC with milliseconds.

use std::fmt;

/// A moment in milliseconds since the Unix epoch; prints as `2026-02-03T04:05:06.789Z`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp(pub(crate) u64);

impl Stamp {
    /// This moment.
    pub(crate) fn now() -> Self {
        Self(u64::try_from(outrigger_filters::clock::wall_now().as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000;
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let milli = self.0 % 1_000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar. The year is
/// taken to begin in March, so that the leap day is its last; 400 years are 146,097 days.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_known_moments() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Stamp(ms).to_string(), text);
        }
    }

    #[test]
    fn the_end_of_time_does_not_panic() {
        let _ = Stamp(u64::MAX).to_string();
    }
}
