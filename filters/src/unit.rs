//! What operators write: `300ms`, `16KiB`, `100/s`, `50%`. A number without its unit is refused.
//!
//! Each type parses with [`std::str::FromStr`], prints itself as it would be written, and (de)serialises as
//! that string. Parsing never panics and never rounds a value to nothing: `0.4ns` is refused, not zero.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

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

/// A share of a whole, `0%` to `100%`, kept in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent {
    /// Millionths of the whole: `1%` is 10,000.
    pub millionths: u32,
}
