//! After the probes: a growing share of the calls, a second a step.
//!
//! Who is drawn is the caller's: a cohort drawn alike each time stays in or out for the step. In no step is more
//! than its share let through (rounded up), however the draws fall. Critical calls come first: they need no luck,
//! and what they are expected to take is taken from the chances of the others.

use std::time::Duration;

use crate::clock::Nanos;
use crate::unit::Percent;

/// How long a step is.
const STEP: Duration = Duration::from_secs(1);
const WHOLE: u64 = Percent::WHOLE.millionths as u64;

/// Where the ramp stands.
#[derive(Debug, Default)]
pub(super) struct Ramp {
    step: usize,
    since: Nanos,
    /// Asked and admitted in this step.
    asked: u64,
    admitted: u64,
    /// Asked on the whole ramp.
    all: u64,
    critical: u64,
}

impl Ramp {
    /// At its foot.
    pub(super) fn begin(now: Nanos) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// The share of this step; none once the ramp is passed.
    pub(super) fn share(&self, steps: &[Percent]) -> Option<Percent> {
        steps.get(self.step).copied()
    }

    /// When the next step begins.
    pub(super) const fn next(&self) -> Nanos {
        self.since.after(STEP)
    }

    /// Takes the steps that time has brought.
    pub(super) fn advance(&mut self, now: Nanos, steps: usize) {
        while self.step < steps && now.since(self.since) >= STEP {
            self.step += 1;
            self.since = self.next();
            (self.asked, self.admitted) = (0, 0);
        }
    }

    /// Whether a call is let through.
    pub(super) fn admit(&mut self, share: Percent, draw: u32, critical: bool) -> bool {
        self.asked += 1;
        self.all += 1;
        self.critical += u64::from(critical);
        let share = u64::from(share.millionths);
        let within = self.admitted.saturating_mul(WHOLE) < self.asked.saturating_mul(share);
        let drawn = critical || (u64::from(draw).saturating_mul(WHOLE) >> 32) < self.chance(share);
        let admitted = within && drawn;
        self.admitted += u64::from(admitted);
        admitted
    }

    /// The chance of a call that is not critical, in millionths: what the critical ones leave of the share.
    fn chance(&self, share: u64) -> u64 {
        let critical = self.critical.saturating_mul(WHOLE).checked_div(self.all).unwrap_or(0);
        let rest = WHOLE.saturating_sub(critical);
        share.saturating_sub(critical).saturating_mul(WHOLE).checked_div(rest).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws spread evenly over all there are.
    fn draw(index: u32) -> u32 {
        index.wrapping_mul(0x9E37_79B9)
    }

    fn admitted(share: u32, calls: impl IntoIterator<Item = (u32, bool)>) -> [u64; 2] {
        let mut ramp = Ramp::begin(Nanos(0));
        let mut passed = [0; 2];
        for (draw, critical) in calls {
            let share = Percent::whole(share);
            passed[usize::from(critical)] += u64::from(ramp.admit(share, draw, critical));
            assert!(ramp.admitted <= share.of(ramp.asked) + 1);
        }
        passed
    }

    #[test]
    fn lets_through_about_its_share_and_no_more() {
        for share in [1, 10, 20, 40, 80, 100] {
            let [passed, _] = admitted(share, (0..10_000).map(|index| (draw(index), false)));
            let most = u64::from(share) * 100;
            assert!((most * 97 / 100..=most + 1).contains(&passed), "{passed} at {share}%");
        }
    }

    #[test]
    fn however_the_draws_fall_the_share_is_the_bound() {
        assert_eq!(admitted(10, (0..1_000).map(|_| (0, false))), [100, 0]);
        assert_eq!(admitted(10, (0..1_000).map(|_| (u32::MAX, false))), [0, 0]);
        assert_eq!(admitted(10, (0..1_000).map(|_| (u32::MAX, true))), [0, 100]);
    }

    #[test]
    fn critical_calls_come_first() {
        // One call in twenty is critical, a tenth is let through: all of those, and half as many others.
        let [others, critical] = admitted(10, (0..20_000).map(|index| (draw(index), index % 20 == 0)));
        assert!(critical >= 950, "{critical} of 1000");
        assert!((900..=1_050).contains(&others), "{others}");
    }

    #[test]
    fn a_step_is_a_second_and_silence_passes_them_all() {
        let mut ramp = Ramp::begin(Nanos(7));
        let steps = [10, 50].map(Percent::whole);
        ramp.advance(Nanos(7).after(STEP - Duration::from_nanos(1)), steps.len());
        assert_eq!(ramp.share(&steps), Some(steps[0]));
        ramp.advance(Nanos(7).after(STEP), steps.len());
        assert_eq!(ramp.share(&steps), Some(steps[1]));
        ramp.advance(Nanos(7).after(STEP * 100), steps.len());
        assert_eq!(ramp.share(&steps), None);
    }
}
