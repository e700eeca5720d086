//! Token buckets in one word each, whose quota can change under them.
//!
//! This is the Generic Cell Rate Algorithm (ITU-T I.371, annex A) with the arrival times measured not in seconds
//! but in tokens. A *level* `R(now)` rises at the rate; a bucket is one number `Y`, the level at which it was (or
//! will be) empty. Tokens left are `R - Y`, at most the burst; taking one adds one to `Y`. An idle bucket needs
//! no upkeep, and a full one (`Y <= R - burst`) is no different from an absent one.
//!
//! **Change of quota.** A new rate bends `R` from the moment it is first used: the level goes on from where it
//! stood, so no `Y` has to be touched and no bucket gains or loses a token. A new burst must not grant what the
//! old one would not have: the *floor* remembers the level below which everything was full, so that each bucket
//! goes on with min(left, new burst), also those never seen. One segment of `R` is a [`Segment`].
//!
//! **Precision.** Levels are in 2^-20 of a token and wrap around 2^64; they are only compared by their difference.
//! So a token may come a millionth of its period early after an idle time, never late; from 1,000/s on it is exact
//! to the nanosecond. The rate is a 64.64 fixed-point number: its error is below 10^-7 even at one in ten years.
//! **Horizon.** A difference must stay below 2^63: ten days at the fastest rate, 24 years at 10,000/s. So idle
//! buckets are brought up (see [`At::is_idle`]) by a sweep that runs at least daily.
//!
//! **Why not the `governor` crate.** It fixes the quota at construction (and with it the meaning of its state), and
//! neither can it check several limits before it charges any, nor reserve with a longest wait, nor tell a full
//! bucket from an absent one in a bounded table. It is the oracle of the property tests instead.

use std::time::Duration;

use crate::unit::Rate;

/// One token, in the units of levels.
pub(crate) const TOKEN: u64 = 1 << 20;

/// A level no bucket starts above: a `Y` of zero is a full bucket.
const ORIGIN: u64 = 1 << 60;

/// The largest burst, in tokens, far below the horizon.
pub(crate) const MAX_BURST: u64 = 1_000_000_000;

/// A rate and a burst, in the units of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Gain of level per nanosecond, times 2^64; never zero.
    gain: u128,
    burst: u64,
}

impl Pace {
    /// Of an operator's numbers; both count as at least one.
    pub(crate) fn new(rate: Rate, burst: u64) -> Self {
        let units = u128::from(rate.count.clamp(1, 1 << 42)) * u128::from(TOKEN);
        // Rounded up, so that a token is there at the very nanosecond it is due and not one later.
        let gain = (units << 64).div_ceil(rate.per.as_nanos().max(1));
        Self { gain, burst: burst.clamp(1, MAX_BURST) * TOKEN }
    }
}

/// The level, from one change of pace to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// The newest snapshot of policy known to use it.
    sequence: u64,
    pace: Pace,
    start: u64,
    origin: u64,
    /// No bucket was emptied before this level; counts until `floor_until`, then the burst says so too.
    floor: u64,
    floor_until: u64,
}

impl Segment {
    /// The first: every bucket is full.
    pub(crate) const fn first(sequence: u64, pace: Pace, now: u64) -> Self {
        Self { sequence, pace, start: now, origin: ORIGIN, floor: 0, floor_until: 0 }
    }

    /// What a snapshot goes by: it bends the level if it is the newest and its pace is another one. A straggler
    /// of an older snapshot follows the newer one.
    pub(crate) fn followed_by(&self, sequence: u64, pace: Pace, now: u64) -> Self {
        if sequence <= self.sequence {
            return *self;
        }
        if pace == self.pace { Self { sequence, ..*self } } else { self.bend(sequence, pace, now) }
    }

    /// The level goes on from where it stands, at another pace.
    fn bend(&self, sequence: u64, pace: Pace, now: u64) -> Self {
        let now = now.max(self.start);
        let at = self.at(now);
        // The least emptied bucket stands at the base; from there the new burst takes this long to fill.
        let missing = distance(at.base.wrapping_add(pace.burst), at.level);
        let fills = u64::try_from(missing).unwrap_or(0);
        let wait = nanos_to_gain(fills, 0, pace.gain);
        let floor_until = now.saturating_add(wait);
        Self { sequence, pace, start: now, origin: at.level, floor: at.base, floor_until }
    }

    /// The level at a moment. A moment before the start (clocks of workers differ by a little) is the start.
    #[inline]
    pub(crate) fn at(&self, now: u64) -> At {
        let elapsed = u128::from(now.saturating_sub(self.start));
        let risen = elapsed.wrapping_mul(self.pace.gain);
        let level = self.origin.wrapping_add((risen >> 64) as u64);
        let full = level.wrapping_sub(self.pace.burst);
        let base = if now < self.floor_until { later(full, self.floor) } else { full };
        At { level, base, fraction: risen as u64, pace: self.pace }
    }
}

/// The level at one moment, against which buckets are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    level: u64,
    /// A bucket emptied at or before this level is as good as untouched.
    base: u64,
    /// What the level has gained beyond `level`, times 2^64.
    fraction: u64,
    pace: Pace,
}

/// A charge: the bucket's new value, and how long the caller has to wait for what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) emptied: u64,
    pub(crate) wait: u64,
}

impl At {
    /// The charge for `cost` on a bucket emptied at `emptied`, if it is covered within `max_wait` nanoseconds.
    ///
    /// # Errors
    /// The nanoseconds after which it would be covered.
    #[inline]
    pub(crate) fn charge(&self, emptied: u64, cost: u64, max_wait: u64) -> Result<Charge, u64> {
        let from = later(emptied, self.base);
        let charged = Charge { emptied: from.wrapping_add(cost), wait: 0 };
        // How far the bucket would run ahead of the level.
        let ahead = distance(charged.emptied, self.level);
        if ahead <= 0 {
            return Ok(charged);
        }
        let wait = self.nanos_until(ahead.unsigned_abs());
        if wait <= max_wait { Ok(Charge { wait, ..charged }) } else { Err(wait) }
    }

    /// Whole tokens left in a bucket.
    pub(crate) fn tokens_left(&self, emptied: u64) -> u64 {
        let left = distance(self.level, later(emptied, self.base));
        u64::try_from(left).unwrap_or(0) / TOKEN
    }

    /// Nanoseconds until a bucket holds its whole burst.
    pub(crate) fn nanos_until_full(&self, emptied: u64) -> u64 {
        let missing = distance(later(emptied, self.base).wrapping_add(self.pace.burst), self.level);
        self.nanos_until(u64::try_from(missing).unwrap_or(0))
    }

    /// Whether a bucket is no different from an absent one.
    #[inline]
    pub(crate) const fn is_idle(&self, emptied: u64) -> bool {
        distance(emptied, self.base) <= 0
    }

    /// What an absent bucket would hold.
    pub(crate) const fn untouched(&self) -> u64 {
        self.base
    }

    #[cold]
    fn nanos_until(&self, gain: u64) -> u64 {
        nanos_to_gain(gain, self.fraction, self.pace.gain)
    }
}

/// Takes a charge back, unless the bucket has since filled up: then the charge has been forgotten already, and
/// taking it back would grant a token twice. Charges are whole tokens, so a bucket that only charged meanwhile
/// differs by whole tokens, and one that was capped does not (but for one case in a million).
pub(crate) const fn uncharge(emptied: u64, charge: Charge, cost: u64) -> u64 {
    let since = emptied.wrapping_sub(charge.emptied);
    if since.is_multiple_of(TOKEN) { emptied.wrapping_sub(cost) } else { emptied }
}

/// The least nanoseconds in which the level gains `units`, given the `fraction` it already has.
fn nanos_to_gain(units: u64, fraction: u64, gain: u128) -> u64 {
    let needed = (u128::from(units) << 64).saturating_sub(u128::from(fraction));
    u64::try_from(needed.div_ceil(gain)).unwrap_or(u64::MAX)
}

/// How far `a` is after `b`, on levels that wrap.
const fn distance(a: u64, b: u64) -> i64 {
    a.wrapping_sub(b).cast_signed()
}

const fn later(a: u64, b: u64) -> u64 {
    if distance(a, b) >= 0 { a } else { b }
}

/// Nanoseconds of a span, as a word.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
