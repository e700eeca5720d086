//! What operators write: `300ms`, `16KiB`, `100/s`, `50%`. A number without its unit is refused.
//!
//! Each type parses with [`std::str::FromStr`], prints itself as it would be written, and (de)serialises as
//! that string. Parsing never panics and never rounds a value to nothing: `0.4ns` is refused, not zero.
//! What is printed parses back to the same value; it is the shortest spelling, so `60s` prints as `1m`.

mod parse;
mod text;

use std::fmt;
use std::time::Duration;

pub(crate) const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Why a text is not the quantity it should be. The message says what is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError(String);

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UnitError {}

/// A span of time: `250us`, `300ms`, `5s`, `2m`, `1h`, `28d`. At most 10 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timespan(pub Duration);

impl Timespan {
    /// So many milliseconds; for defaults, which are known to be in range.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// So many seconds; for defaults, which are known to be in range.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

/// An amount of bytes: `512B`, `16KiB`, `8MiB`, `1GiB` (powers of 1024) or `kB`, `MB`, `GB` (powers of 1000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// So many in a span of time: `100/s`, `5000/m`, `10/h`, `3/10s`. At most 10,000,000 a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In how long; never zero.
    pub per: Duration,
}

impl Rate {
    /// The fastest rate accepted, a second.
    pub const MAX_PER_SECOND: u64 = 10_000_000;

    /// So many a second; for defaults and tests.
    #[must_use]
    pub const fn per_second(count: u64) -> Self {
        Self { count, per: Duration::from_secs(1) }
    }

    /// How many pass in `span` at this rate, rounded down.
    #[must_use]
    pub const fn count_in(self, span: Duration) -> u64 {
        let per = self.per.as_nanos();
        if per == 0 {
            return 0;
        }
        let count = (self.count as u128).saturating_mul(span.as_nanos()) / per;
        if count > u64::MAX as u128 { u64::MAX } else { count as u64 }
    }
}

/// A share of a whole, `0%` to `100%`, kept in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent {
    /// Millionths of the whole: `1%` is 10,000.
    pub millionths: u32,
}

impl Percent {
    /// All of it.
    pub const WHOLE: Self = Self { millionths: 1_000_000 };

    /// Whole per cents, at most 100; for defaults.
    #[must_use]
    pub const fn whole(percent: u32) -> Self {
        Self { millionths: if percent > 100 { 1_000_000 } else { percent * 10_000 } }
    }

    /// As a fraction of one.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.millionths) / 1_000_000.0
    }

    /// This share of `whole`, rounded down.
    #[must_use]
    pub const fn of(self, whole: u64) -> u64 {
        // A share is at most one, so the product fits back; `min` keeps that true for any field value.
        let part = (whole as u128 * self.millionths as u128) / 1_000_000;
        if part > whole as u128 { whole } else { part as u64 }
    }
}

#[cfg(test)]
mod tests;
