//! Counts by time: a ring of slots, one for each tick of a quarter of a second.
//!
//! A slot is one word, the tick it counts for beside the count, so a slot whose time is past is taken over in one
//! exchange, nothing has to be cleaned, and a late decrement cannot reach a count that is not its own. A span is
//! read by summing its ticks; its length is no part of the layout, so a changed window or threshold reads what is
//! there. Exact to one tick. Cost: one compare-and-swap to count, one load a tick to read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Nanos;

/// How long a tick is.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// The number of a tick; the first is 1, so that 0 is before all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) u32);

impl Tick {
    /// The tick in which `now` lies.
    pub(crate) const fn at(now: Nanos) -> Self {
        // 34 years of ticks fit the word.
        Self((now.0 / TICK.as_nanos() as u64) as u32).next()
    }

    /// The one after it.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// So many before it; 0 if there are none.
    pub(crate) const fn back(self, ticks: u32) -> Self {
        Self(self.0.saturating_sub(ticks))
    }
}

/// How many ticks a span covers, rounded up.
pub(crate) fn ticks_of(span: Duration) -> u32 {
    u32::try_from(span.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u32::MAX)
}

/// A ring of counts.
#[derive(Debug)]
pub(crate) struct Ticks {
    slots: Box<[AtomicU64]>,
}

impl Ticks {
    /// Remembers this many ticks.
    pub(crate) fn new(ticks: usize) -> Self {
        Self { slots: (0..ticks.max(1)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// One more in `tick`; nothing if the ring has gone round since.
    #[inline]
    pub(crate) fn add(&self, tick: Tick) {
        self.change(tick, |word| match tick_of(word) {
            own if own == tick.0 => Some(if count_of(word) == u32::MAX { word } else { word + 1 }),
            newer if newer > tick.0 => None,
            _ => Some(u64::from(tick.0) << 32 | 1),
        });
    }

    /// One less in `tick`; nothing if it is no longer counted.
    #[inline]
    pub(crate) fn take(&self, tick: Tick) {
        self.change(tick, |word| (tick_of(word) == tick.0 && count_of(word) > 0).then(|| word - 1));
    }

    /// All of the ticks after `after` up to and with `last`, as far as they are remembered.
    pub(crate) fn sum(&self, after: Tick, last: Tick) -> u64 {
        let remembered = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let first = after.next().max(last.back(remembered.saturating_sub(1)));
        (first.0..=last.0).map(|tick| self.count(Tick(tick))).sum()
    }

    fn count(&self, tick: Tick) -> u64 {
        let word = self.slot(tick).map_or(0, |slot| slot.load(Ordering::Relaxed));
        if tick_of(word) == tick.0 { u64::from(count_of(word)) } else { 0 }
    }

    fn slot(&self, tick: Tick) -> Option<&AtomicU64> {
        self.slots.get(tick.0 as usize % self.slots.len().max(1))
    }

    #[inline]
    fn change(&self, tick: Tick, change: impl Fn(u64) -> Option<u64>) {
        if let Some(slot) = self.slot(tick) {
            // Relaxed: the word is all there is. Refused means there is nothing to change.
            let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        }
    }
}

const fn tick_of(word: u64) -> u32 {
    (word >> 32) as u32
}

const fn count_of(word: u64) -> u32 {
    word as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_only_the_span_asked_for() {
        let ring = Ticks::new(8);
        for tick in 1..=6 {
            (0..tick).for_each(|_| ring.add(Tick(tick)));
        }
        assert_eq!(ring.sum(Tick(0), Tick(6)), 21);
        assert_eq!(ring.sum(Tick(3), Tick(5)), 9);
        assert_eq!(ring.sum(Tick(5), Tick(5)), 0);
        assert_eq!(ring.sum(Tick(0), Tick(20)), 0, "too long ago to be remembered");
        assert_eq!(ring.sum(Tick(0), Tick(13)), 6, "but for what is");
    }

    #[test]
    fn a_slot_is_taken_over_and_late_decrements_miss_it() {
        let ring = Ticks::new(4);
        ring.add(Tick(1));
        ring.add(Tick(5));
        ring.take(Tick(1));
        ring.add(Tick(1));
        assert_eq!(ring.sum(Tick(1), Tick(5)), 1);
        ring.take(Tick(5));
        ring.take(Tick(5));
        assert_eq!(ring.sum(Tick(0), Tick(5)), 0, "never below nothing");
    }

    #[test]
    fn ticks_are_quarters_of_a_second() {
        let at = |millis: u64| Tick::at(Nanos(millis * 1_000_000));
        assert_eq!([at(0), at(249), at(250), at(1_000)], [Tick(1), Tick(1), Tick(2), Tick(5)]);
        assert_eq!(ticks_of(Duration::from_secs(10)), 40);
        assert_eq!(ticks_of(Duration::from_millis(251)), 2);
    }

    #[test]
    fn threads_lose_nothing() {
        let ring = Ticks::new(4);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..5_000).for_each(|_| ring.add(Tick(2))));
            }
        });
        assert_eq!(ring.sum(Tick(0), Tick(3)), 15_000);
    }
}
