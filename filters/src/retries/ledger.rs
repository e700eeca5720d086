//! What a dependency's retries may cost, and how its attempts have been ending. Atomics only, shared by all workers.
//!
//! **Budget.** Two purses. *Credits*: each request adds its share to the current second; a retry takes a whole one,
//! oldest first; after ten seconds what is left is worth nothing. *Floor*: a bucket kept as a time (GCRA), so that a
//! new `min_per_second` needs no conversion: it holds at most ten seconds, begins full, and a retry costs
//! 1 s / `min_per_second` of it. What is out with tokens that are not yet spent keeps its place in the bucket, so that
//! paying back late never makes more than there ever was: spent + out + left ≤ 10 s + time passed. Workers that pay at
//! the same moment may each take the other's for out already, and then see a retry less than there is until it is earned
//! again; never one more.
//!
//! **Brake.** The attempts of the last ten seconds and how many failed. Above one half, and with enough of them to
//! judge, there is one retry a second: closing the tap of a budget that a total outage would otherwise keep draining.

mod seconds;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Nanos;
use crate::state::State;
use seconds::{SPAN, Second, Seconds};

/// A whole retry, in the unit of credits: a hundred-thousandth of one. A second holds at most 42,949 retries.
pub(super) const WHOLE: u32 = 100_000;

/// How much of the floor can be saved up.
const SAVED: Duration = Duration::from_secs(SPAN as u64);

/// How many attempts must have ended in ten seconds before their ratio says anything.
const ENOUGH: u32 = 10;

/// How long the brake stays on after each retry it lets pass.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    credits: Seconds,
    /// When the floor's bucket will be full again.
    full_at: AtomicU64,
    /// How much of it is out with tokens, in nanoseconds.
    out: AtomicU64,
    /// Of each second: attempts in the upper half, failed ones in the lower.
    ends: Seconds,
    /// When the brake lets the next retry pass.
    probe_at: AtomicU64,
}

impl State for Ledger {}

/// From which purse a retry was paid. To be kept or paid back, once.
#[derive(Debug)]
pub(super) enum Paid {
    /// With credits, the oldest of which is of this second.
    Credits { oldest: Second },
    /// From the floor, so many nanoseconds.
    Floor { cost: u64 },
}

impl Ledger {
    /// A request has come.
    #[inline]
    pub(super) fn credit(&self, amount: u32, now: Nanos) {
        if amount > 0 {
            self.credits.change(Second::of(now), |credits| credits.saturating_add(amount));
        }
    }

    /// Takes the price of one retry. `price` is what one costs of the floor; none: there is no floor.
    pub(super) fn pay(&self, price: Option<Duration>, now: Nanos) -> Option<Paid> {
        self.pay_by_credits(now).or_else(|| self.pay_by_floor(price?, now))
    }

    /// The retry was sent.
    pub(super) fn keep(&self, paid: Paid) {
        if let Paid::Floor { cost } = paid {
            self.out.fetch_sub(cost, Ordering::Relaxed);
        }
    }

    /// The retry was not sent. Credits go back as the oldest that were taken, so none lives longer for it.
    pub(super) fn pay_back(&self, paid: Paid) {
        match paid {
            Paid::Credits { oldest } => self.credits.give_back(oldest, WHOLE),
            Paid::Floor { cost } => {
                // In this order: in between, others see less than there is.
                self.full_at.fetch_sub(cost, Ordering::AcqRel);
                self.out.fetch_sub(cost, Ordering::AcqRel);
            }
        }
    }

    /// How many retries can be paid for.
    pub(super) fn balance(&self, price: Option<Duration>, now: Nanos) -> u64 {
        let credits: u64 = self.credits.live(Second::of(now)).map(|(_, amount)| u64::from(amount)).sum();
        let floor = price.map_or(0, |price| {
            let out = self.out.load(Ordering::Relaxed);
            let full_at = self.full_at.load(Ordering::Relaxed).max(now.0.saturating_add(out));
            let saved = now.after(SAVED).since(Nanos(full_at));
            saved.as_nanos().checked_div(price.as_nanos()).unwrap_or(0)
        });
        (credits / u64::from(WHOLE)).saturating_add(u64::try_from(floor).unwrap_or(u64::MAX))
    }

    /// An attempt has ended.
    #[inline]
    pub(super) fn ended(&self, failed: bool, now: Nanos) {
        let more = 1 << 16 | u32::from(failed);
        // A second that is full says enough by its ratio.
        self.ends.change(
            Second::of(now),
            |ends| if ends >> 16 == 0xFFFF { ends } else { ends.wrapping_add(more) },
        );
    }

    /// Whether most attempts fail.
    pub(super) fn is_braked(&self, now: Nanos) -> bool {
        let count =
            |(all, failed): (u32, u32), (_, ends): (_, u32)| (all + (ends >> 16), failed + (ends & 0xFFFF));
        let (all, failed) = self.ends.live(Second::of(now)).fold((0, 0), count);
        all >= ENOUGH && failed > all / 2
    }

    /// With the brake on: whether this is the retry of this second.
    pub(super) fn probe(&self, now: Nanos) -> bool {
        let next = |at: u64| (now.0 >= at).then(|| now.after(PROBE_EVERY).0);
        self.probe_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    fn pay_by_credits(&self, now: Nanos) -> Option<Paid> {
        let now = Second::of(now);
        let (mut missing, mut taken) = (WHOLE, [(Second::default(), 0); SPAN]);
        for ((second, _), taken) in self.credits.live(now).filter(|(_, amount)| *amount > 0).zip(&mut taken) {
            *taken = (second, self.credits.take(second, missing));
            missing = missing.saturating_sub(taken.1);
            if missing == 0 {
                break;
            }
        }
        let mut from = taken.iter().filter(|(_, amount)| *amount > 0);
        if missing == 0 {
            return from.next().map(|(oldest, _)| Paid::Credits { oldest: *oldest });
        }
        from.for_each(|(second, amount)| self.credits.give_back(*second, *amount));
        None
    }

    fn pay_by_floor(&self, price: Duration, now: Nanos) -> Option<Paid> {
        let cost = u64::try_from(price.as_nanos()).ok()?.max(1);
        // First: in between, others see less than there is.
        let out = self.out.fetch_add(cost, Ordering::AcqRel);
        let paid = self.full_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
            let full_at = full_at.max(now.0.saturating_add(out)).saturating_add(cost);
            (full_at <= now.after(SAVED).0).then_some(full_at)
        });
        if paid.is_err() {
            self.out.fetch_sub(cost, Ordering::AcqRel);
        }
        paid.is_ok().then_some(Paid::Floor { cost })
    }
}

#[cfg(test)]
mod tests;
