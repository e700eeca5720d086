//! From text to quantity, exactly: decimals are scaled as integers, never through floating point.

use std::str::FromStr;
use std::time::Duration;

use super::{NANOS_PER_SECOND, Percent, Rate, Size, Timespan, UnitError};

/// Ten years of nanoseconds: longer spans are typing mistakes.
const LONGEST: u128 = 10 * 365 * 86_400 * NANOS_PER_SECOND;

pub(super) const TIME_UNITS: [(&str, u128); 7] = [
    ("d", 86_400 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

pub(super) const SIZE_UNITS: [(&str, u128); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

const TIMESPAN: &str = "a span of time is a number and one of ns, us, ms, s, m, h, d, such as 300ms";
const SIZE: &str = "a size is a number and one of B, KiB, MiB, GiB, kB, MB, GB, such as 16KiB";
const RATE: &str = "a rate is a whole number, a slash and a span of time, such as 100/s or 3/10s";
const PERCENT: &str = "a share is a number from 0 to 100 and a per cent sign, such as 50% or 0.1%";

impl FromStr for Timespan {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = |why: &str| refuse(text, why, TIMESPAN);
        let (number, unit) = split(text);
        let scale = scale_of(unit, &TIME_UNITS).ok_or_else(|| unknown_unit(text, unit, TIMESPAN))?;
        let number = Decimal::parse(number).ok_or_else(|| wrong("not a number"))?;
        let nanos = number.times(scale).ok_or_else(|| wrong("finer than a nanosecond"))?;
        if nanos > LONGEST {
            return Err(wrong("longer than 10 years"));
        }
        u64::try_from(nanos).map(|nanos| Self(Duration::from_nanos(nanos))).map_err(|_| wrong("too long"))
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = |why: &str| refuse(text, why, SIZE);
        let (number, unit) = split(text);
        let scale = scale_of(unit, &SIZE_UNITS).ok_or_else(|| unknown_unit(text, unit, SIZE))?;
        let number = Decimal::parse(number).ok_or_else(|| wrong("not a number"))?;
        let bytes = number.times(scale).ok_or_else(|| wrong("not a whole number of bytes"))?;
        u64::try_from(bytes).map(Self).map_err(|_| wrong("too large"))
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = |why: &str| refuse(text, why, RATE);
        let (count, span) = text.split_once('/').ok_or_else(|| wrong("no slash"))?;
        let count = whole(count).ok_or_else(|| wrong("the part before the slash is not a whole number"))?;
        let bare = !span.starts_with(|c: char| c.is_ascii_digit());
        let span = if bare { format!("1{span}") } else { span.to_owned() };
        let per =
            span.parse::<Timespan>().map_err(|_| wrong("the part after the slash is no span of time"))?.0;
        if per.is_zero() {
            return Err(wrong("the span of time is zero"));
        }
        let fastest = u128::from(Self::MAX_PER_SECOND).saturating_mul(per.as_nanos());
        if u128::from(count).saturating_mul(NANOS_PER_SECOND) > fastest {
            return Err(wrong("faster than 10000000/s"));
        }
        Ok(Self { count, per })
    }
}

impl FromStr for Percent {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = |why: &str| refuse(text, why, PERCENT);
        let number = text.strip_suffix('%').ok_or_else(|| wrong("no per cent sign"))?;
        let number = Decimal::parse(number).ok_or_else(|| wrong("not a number"))?;
        let millionths = number.times(10_000).ok_or_else(|| wrong("finer than 0.0001%"))?;
        match u32::try_from(millionths) {
            Ok(millionths) if millionths <= Self::WHOLE.millionths => Ok(Self { millionths }),
            _ => Err(wrong("more than 100%")),
        }
    }
}

/// A non-negative decimal: `digits / 10^places`.
struct Decimal {
    digits: u128,
    places: u32,
}

impl Decimal {
    /// At most 20 digits before the point and 9 after it, so that they fit 128 bits.
    fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.split_once('.').unwrap_or((text, ""));
        let has_point = before.len() != text.len();
        if before.is_empty() || before.len() > 20 || after.len() > 9 || (has_point && after.is_empty()) {
            return None;
        }
        let places = u32::try_from(after.len()).ok()?;
        let digits = before
            .bytes()
            .chain(after.bytes())
            .try_fold(0u128, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u128::from(byte - b'0')))?;
        Some(Self { digits, places })
    }

    /// The product, if it is whole; what is too large for 128 bits is the largest there is.
    fn times(&self, scale: u128) -> Option<u128> {
        let tens = 10u128.checked_pow(self.places)?;
        let Some(product) = self.digits.checked_mul(scale) else { return Some(u128::MAX) };
        (product % tens == 0).then_some(product / tens)
    }
}

fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn scale_of(unit: &str, units: &[(&str, u128)]) -> Option<u128> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

fn unknown_unit(text: &str, unit: &str, accepted: &str) -> UnitError {
    if unit.is_empty() {
        return refuse(text, "no unit", accepted);
    }
    if unit.starts_with(['-', '+']) {
        return refuse(text, "not a number", accepted);
    }
    // Long input is cut in `refuse`, never here: the unit is a tail of it.
    refuse(text, "unknown unit", accepted)
}

fn refuse(text: &str, why: &str, accepted: &str) -> UnitError {
    let shown: String = text.chars().take(40).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    UnitError(format!("`{shown}{dots}`: {why}; {accepted}"))
}
