//! Ten seconds of amounts, a word for each second: what is older counts for nothing, without anybody clearing it.
//!
//! Each word holds the second it is of (upper half) and an amount (lower half), so that both change together and
//! workers whose clocks read a little apart never add to the wrong second.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Nanos;

/// How many seconds are kept, the current one included.
pub(super) const SPAN: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Seconds([AtomicU64; SPAN]);

/// A second of the process's clock; wraps after 136 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::retries) struct Second(u32);

impl Second {
    pub(super) const fn of(now: Nanos) -> Self {
        Self((now.0 / 1_000_000_000) as u32)
    }

    const fn of_word(word: u64) -> Self {
        Self((word >> 32) as u32)
    }

    const fn word(self, amount: u32) -> u64 {
        (self.0 as u64) << 32 | amount as u64
    }

    const fn is_live(self, now: Self) -> bool {
        (now.0.wrapping_sub(self.0) as usize) < SPAN
    }
}

impl Seconds {
    /// Changes the amount of the current second.
    pub(super) fn change(&self, now: Second, change: impl Fn(u32) -> u32) {
        let Some(slot) = self.slot(now) else { return };
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let of = Second::of_word(word);
            if of == now {
                return Some(now.word(change(word as u32)));
            }
            // A worker that is behind by a whole round has nothing to say about the seconds since.
            let is_older = now.0.wrapping_sub(of.0) <= u32::MAX / 2;
            is_older.then(|| now.word(change(0)))
        });
    }

    /// Takes up to `most` of one second; how much it was.
    pub(super) fn take(&self, of: Second, most: u32) -> u32 {
        let Some(slot) = self.slot(of) else { return 0 };
        let taken = |word: u64| if Second::of_word(word) == of { (word as u32).min(most) } else { 0 };
        let took = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let taken = taken(word);
            (taken > 0).then(|| word.wrapping_sub(u64::from(taken)))
        });
        took.map_or(0, taken)
    }

    /// Gives an amount back to the second it is of; it is lost if that second is long over.
    pub(super) fn give_back(&self, of: Second, amount: u32) {
        let Some(slot) = self.slot(of) else { return };
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let is_same = Second::of_word(word) == of;
            is_same.then(|| of.word((word as u32).saturating_add(amount)))
        });
    }

    /// The seconds that still count, oldest first, with what they hold.
    pub(super) fn live(&self, now: Second) -> impl Iterator<Item = (Second, u32)> {
        let ages = (0..SPAN as u32).rev();
        ages.filter_map(move |age| {
            let second = Second(now.0.wrapping_sub(age));
            let word = self.slot(second)?.load(Ordering::Relaxed);
            let of = Second::of_word(word);
            (of == second && of.is_live(now)).then_some((of, word as u32))
        })
    }

    fn slot(&self, second: Second) -> Option<&AtomicU64> {
        self.0.get(second.0 as usize % SPAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(seconds: &Seconds, now: u32) -> u32 {
        seconds.live(Second(now)).map(|(_, amount)| amount).sum()
    }

    #[test]
    fn an_amount_counts_for_ten_seconds_and_is_gone() {
        let seconds = Seconds::default();
        seconds.change(Second(5), |amount| amount + 3);
        seconds.change(Second(5), |amount| amount + 1);
        assert_eq!((sum(&seconds, 5), sum(&seconds, 14), sum(&seconds, 15)), (4, 4, 0));
        seconds.change(Second(15), |amount| amount + 1);
        assert_eq!(sum(&seconds, 15), 1);
    }

    #[test]
    fn whoever_is_a_round_behind_changes_nothing() {
        let seconds = Seconds::default();
        seconds.change(Second(25), |_| 7);
        seconds.change(Second(15), |_| 9);
        assert_eq!((sum(&seconds, 25), sum(&seconds, 15)), (7, 0));
    }

    #[test]
    fn takes_no_more_than_there_is_and_only_of_that_second() {
        let seconds = Seconds::default();
        seconds.change(Second(3), |_| 10);
        assert_eq!(
            [seconds.take(Second(3), 4), seconds.take(Second(3), 9), seconds.take(Second(3), 1)],
            [4, 6, 0]
        );
        seconds.give_back(Second(3), 10);
        assert_eq!((seconds.take(Second(13), 1), sum(&seconds, 3)), (0, 10));
        seconds.change(Second(13), |_| 1);
        seconds.give_back(Second(3), 5);
        assert_eq!(sum(&seconds, 13), 1, "what is over stays over");
    }
}
