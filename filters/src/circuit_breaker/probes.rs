//! Half-open: a few calls try whether it works again.
//!
//! Five verdicts are worth waiting for; three of one kind decide. No more calls are let through than can still
//! matter. A slot whose call ends without a verdict is free again at once, one whose call hangs past the slow
//! threshold has failed: every slot is free again within that time, whatever its owner does, so this state cannot
//! be stuck.

use std::time::Duration;

use crate::clock::Nanos;

/// How many verdicts are worth waiting for.
pub(super) const JUDGED: u32 = 5;
/// How many of one kind decide.
const NEEDED: u32 = 3;

/// The trial.
#[derive(Debug, Default)]
pub(super) struct Probes {
    slots: [Option<Probe>; JUDGED as usize],
    serial: u64,
    pub(super) succeeded: u32,
    pub(super) failed: u32,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    serial: u64,
    since: Nanos,
}

impl Probes {
    /// How many are under way.
    pub(super) fn out(&self) -> u32 {
        self.slots.iter().flatten().fold(0, |out, _| out + 1)
    }

    pub(super) const fn judged(&self) -> u32 {
        self.succeeded + self.failed
    }

    /// Whether one more may go, of `most` at once.
    pub(super) fn has_room(&self, most: u32) -> bool {
        self.out() < most.min(JUDGED.saturating_sub(self.judged()))
    }

    /// A slot; what it is called is told to whoever gives it back.
    pub(super) fn take(&mut self, most: u32, now: Nanos) -> Option<u64> {
        if !self.has_room(most) {
            return None;
        }
        let free = self.slots.iter_mut().find(|slot| slot.is_none())?;
        self.serial += 1;
        *free = Some(Probe { serial: self.serial, since: now });
        Some(self.serial)
    }

    /// Frees a slot; false if it is its owner's no more.
    pub(super) fn give_back(&mut self, serial: u64) -> bool {
        let own = self.slots.iter_mut().find(|slot| slot.is_some_and(|probe| probe.serial == serial));
        own.and_then(Option::take).is_some()
    }

    /// Frees a slot with a verdict; false if it is its owner's no more.
    pub(super) fn judge(&mut self, serial: u64, good: bool) -> bool {
        let own = self.give_back(serial);
        if own {
            self.count(good);
        }
        own
    }

    /// Fails those that have taken longer than `threshold`, and says how many.
    pub(super) fn expire(&mut self, now: Nanos, threshold: Duration) -> u32 {
        let mut expired = 0;
        for slot in &mut self.slots {
            if slot.is_some_and(|probe| now.since(probe.since) > threshold) {
                *slot = None;
                expired += 1;
            }
        }
        (0..expired).for_each(|_| self.count(false));
        expired
    }

    /// When the first of those under way will have failed.
    pub(super) fn next_expiry(&self, threshold: Duration) -> Option<Nanos> {
        let first = self.slots.iter().flatten().map(|probe| probe.since).min()?;
        Some(first.after(threshold + Duration::from_nanos(1)))
    }

    /// Whether it works again, once that is known.
    pub(super) const fn verdict(&self) -> Option<bool> {
        match (self.succeeded, self.failed) {
            (NEEDED.., _) => Some(true),
            (_, NEEDED..) => Some(false),
            _ => None,
        }
    }

    const fn count(&mut self, good: bool) {
        if good {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: Duration = Duration::from_secs(1);

    #[test]
    fn no_more_at_once_than_allowed_and_no_more_than_matter() {
        let mut probes = Probes::default();
        let taken: Vec<_> = (0..9).filter_map(|_| probes.take(3, Nanos(0))).collect();
        assert_eq!((taken.len(), probes.out()), (3, 3));
        assert!(probes.judge(taken[0], true) && probes.judge(taken[1], false));
        assert!(probes.judge(taken[2], true));
        let more: Vec<_> = (0..9).filter_map(|_| probes.take(3, Nanos(0))).collect();
        assert_eq!(more.len(), 2, "two verdicts are still open");
    }

    #[test]
    fn three_of_a_kind_decide() {
        for good in [true, false] {
            let mut probes = Probes::default();
            for step in 0..5 {
                assert_eq!(probes.verdict(), None, "{step}");
                let slot = probes.take(1, Nanos(0)).unwrap();
                probes.judge(slot, if step % 2 == 0 { good } else { !good });
            }
            assert_eq!(probes.verdict(), Some(good));
        }
    }

    #[test]
    fn a_slot_comes_back_once() {
        let mut probes = Probes::default();
        let slot = probes.take(1, Nanos(0)).unwrap();
        assert!(probes.give_back(slot));
        assert!(!probes.give_back(slot) && !probes.judge(slot, true));
        assert_eq!((probes.out(), probes.judged()), (0, 0));
        assert!(probes.has_room(1));
    }

    #[test]
    fn who_hangs_has_failed_and_his_verdict_comes_too_late() {
        let mut probes = Probes::default();
        let slot = probes.take(3, Nanos(5)).unwrap();
        assert_eq!(probes.expire(Nanos(5).after(THRESHOLD), THRESHOLD), 0);
        let expiry = probes.next_expiry(THRESHOLD).unwrap();
        assert_eq!(probes.expire(expiry, THRESHOLD), 1);
        assert_eq!((probes.failed, probes.out(), probes.next_expiry(THRESHOLD)), (1, 0, None));
        assert!(!probes.judge(slot, true));
    }
}
