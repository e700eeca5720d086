//! The states, behind a lock: what rarely happens.
//!
//! Everything here is plain data with the time passed in. Each change of state has a number; a call carries the
//! number under which it was admitted, and counts only while it still holds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::Knobs;
use super::probes::Probes;
use super::ramp::Ramp;
use super::reason::Reason;
use super::states::{Change, Forced, State, Transitions};
use super::trip::trip;
use super::window::Tally;
use crate::clock::Nanos;
use crate::meter::ticks::TICK;
use crate::unit::Percent;

/// So many successes, closed, take back one doubling: time alone is no evidence.
const HEALED: u32 = 20;
/// Doubling more often than this is beyond any longest time.
const MAX_LEVEL: u32 = 16;
/// How many changes are remembered for the log.
const REMEMBERED: usize = 32;
/// When waiting is over before anything is known: half-open without room, or on the ramp.
const SOON: Duration = Duration::from_secs(1);

/// Where it stands, and how it got there.
pub(super) struct Machine {
    pub(super) knobs: Arc<Knobs>,
    pub(super) number: u64,
    pub(super) state: State,
    pub(super) since: Nanos,
    pub(super) reason: Reason,
    /// Open: when probes may begin.
    pub(super) until: Nanos,
    pub(super) probes: Probes,
    ramp: Ramp,
    /// How often the time to stay open is doubled.
    level: u32,
    healed: u32,
    seed: u64,
    open_before: Duration,
    changes: VecDeque<Change>,
    transitions: Vec<Transitions>,
}

/// As what a call is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Call,
    /// One of the probes, by its slot.
    Probe(u64),
}

impl Machine {
    pub(super) fn new(knobs: Arc<Knobs>, seed: u64) -> Self {
        Self {
            knobs,
            number: 0,
            state: State::Closed,
            since: Nanos(0),
            reason: Reason::Start,
            until: Nanos(0),
            probes: Probes::default(),
            ramp: Ramp::default(),
            level: 0,
            healed: 0,
            seed,
            open_before: Duration::ZERO,
            changes: VecDeque::with_capacity(REMEMBERED),
            transitions: Vec::new(),
        }
    }

    /// Does what is due. `floor` is the latest moment the upstream itself named; `tally` is asked only if it matters.
    pub(super) fn look(&mut self, now: Nanos, floor: Nanos, tally: impl FnOnce(&Knobs) -> Tally) -> u32 {
        match self.state {
            State::Closed | State::Ramp => self.watch(now, floor, tally),
            State::Open if now >= self.until => self.go(State::HalfOpen, Reason::Waited, now),
            State::HalfOpen => {
                let expired = self.probes.expire(now, self.knobs.threshold);
                self.conclude(now, floor);
                return expired;
            }
            State::Open | State::ForcedOpen | State::ForcedClosed => {}
        }
        0
    }

    /// Opens if a rule says so; else goes on along the ramp.
    fn watch(&mut self, now: Nanos, floor: Nanos, tally: impl FnOnce(&Knobs) -> Tally) {
        let ramping = self.state == State::Ramp;
        let knobs = Arc::clone(&self.knobs);
        if let Some(reason) = trip(&tally(&knobs), &knobs.spec, knobs.threshold, ramping) {
            self.open(reason, now, floor);
        } else if ramping {
            self.ramp.advance(now, knobs.spec.ramp.len());
            if self.ramp.share(&knobs.spec.ramp).is_none() {
                self.close(Reason::Ramped, now);
            }
        }
    }

    /// When to look again.
    pub(super) fn next_look(&self, now: Nanos) -> Nanos {
        match self.state {
            State::Closed => now.after(TICK),
            State::Ramp => now.after(TICK).min(self.ramp.next()),
            State::Open => self.until,
            State::HalfOpen => self.probes.next_expiry(self.knobs.threshold).unwrap_or(Nanos(u64::MAX)),
            State::ForcedOpen | State::ForcedClosed => Nanos(u64::MAX),
        }
    }

    /// Whether a call would be let through, as far as it can be known without asking for it.
    pub(super) fn peek(&self, now: Nanos) -> Result<(), Duration> {
        match self.state {
            State::Closed | State::ForcedClosed | State::Ramp => Ok(()),
            State::HalfOpen if self.probes.has_room(self.knobs.spec.probes) => Ok(()),
            State::HalfOpen => Err(SOON),
            State::Open => Err(self.until.since(now)),
            State::ForcedOpen => Err(self.knobs.spec.open_for.0),
        }
    }

    /// Lets a call through, or says how long to wait.
    pub(super) fn admit(&mut self, now: Nanos, draw: u32, critical: bool) -> Result<Role, Duration> {
        self.peek(now)?;
        match self.state {
            State::HalfOpen => self.probes.take(self.knobs.spec.probes, now).map(Role::Probe).ok_or(SOON),
            State::Ramp => {
                let share = self.ramp.share(&self.knobs.spec.ramp).unwrap_or(Percent::WHOLE);
                self.ramp.admit(share, draw, critical).then_some(Role::Call).ok_or(SOON)
            }
            _ => Ok(Role::Call),
        }
    }

    /// What share of the calls is let through now.
    pub(super) fn share(&self) -> Percent {
        match self.state {
            State::Closed | State::ForcedClosed => Percent::WHOLE,
            State::Ramp => self.ramp.share(&self.knobs.spec.ramp).unwrap_or(Percent::WHOLE),
            State::HalfOpen | State::Open | State::ForcedOpen => Percent::default(),
        }
    }

    /// A probe ended with a verdict; false if it came too late.
    pub(super) fn judge(&mut self, slot: u64, good: bool, now: Nanos, floor: Nanos) -> bool {
        let counts = self.state == State::HalfOpen && self.probes.judge(slot, good);
        if counts {
            self.conclude(now, floor);
        }
        counts
    }

    fn conclude(&mut self, now: Nanos, floor: Nanos) {
        let Probes { succeeded, failed, .. } = self.probes;
        let judged = self.probes.judged();
        match self.probes.verdict() {
            Some(true) if self.knobs.spec.ramp.is_empty() => {
                self.close(Reason::ProbesSucceeded { succeeded, judged }, now);
            }
            Some(true) => {
                self.ramp = Ramp::begin(now);
                self.go(State::Ramp, Reason::ProbesSucceeded { succeeded, judged }, now);
            }
            Some(false) => self.open(Reason::ProbesFailed { failed, judged }, now, floor),
            None => {}
        }
    }

    /// Whether successes take back doublings now.
    pub(super) const fn is_healing(&self) -> bool {
        self.level > 0 && matches!(self.state, State::Closed)
    }

    /// One more success, closed.
    pub(super) const fn heal(&mut self) {
        self.healed += 1;
        if self.healed >= HEALED {
            self.healed = 0;
            self.level = self.level.saturating_sub(1);
        }
    }

    /// An operator forces a state, or lets go: a breaker forced open is then tried with probes, not with everything.
    pub(super) fn force(&mut self, forced: Option<Forced>, now: Nanos) {
        match (forced, self.state) {
            (Some(Forced::Open), state) if state != State::ForcedOpen => {
                self.go(State::ForcedOpen, Reason::Forced, now);
            }
            (Some(Forced::Closed), state) if state != State::ForcedClosed => {
                self.go(State::ForcedClosed, Reason::Forced, now);
            }
            (None, State::ForcedOpen) => self.go(State::HalfOpen, Reason::Released, now),
            (None, State::ForcedClosed) => self.close(Reason::Released, now),
            _ => {}
        }
    }

    fn open(&mut self, reason: Reason, now: Nanos, floor: Nanos) {
        let spec = &self.knobs.spec;
        let doubled = spec.open_for.0.saturating_mul(1u32.wrapping_shl(self.level.min(MAX_LEVEL)));
        let span = jittered(doubled.min(spec.max_open_for.0), self.seed ^ self.number);
        self.level = (self.level + 1).min(MAX_LEVEL);
        self.until = now.after(span).max(floor);
        self.go(State::Open, reason, now);
    }

    fn close(&mut self, reason: Reason, now: Nanos) {
        self.healed = 0;
        self.go(State::Closed, reason, now);
    }

    fn go(&mut self, to: State, reason: Reason, now: Nanos) {
        let from = self.state;
        self.open_before = self.open_time(now);
        self.number += 1;
        self.probes = Probes::default();
        (self.state, self.since, self.reason) = (to, now, reason);
        if self.changes.len() == REMEMBERED {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { number: self.number, at: now, from, to, reason });
        self.count(from, to, reason.label());
    }

    fn count(&mut self, from: State, to: State, reason: &'static str) {
        let same = |known: &&mut Transitions| (known.from, known.to, known.reason) == (from, to, reason);
        match self.transitions.iter_mut().find(same) {
            Some(known) => known.count += 1,
            None => self.transitions.push(Transitions { from, to, reason, count: 1 }),
        }
    }

    /// How long it has been open in all.
    pub(super) fn open_time(&self, now: Nanos) -> Duration {
        let is_open = matches!(self.state, State::Open | State::ForcedOpen);
        let current = if is_open { now.since(self.since) } else { Duration::ZERO };
        self.open_before.saturating_add(current)
    }

    pub(super) fn changes_after(&self, number: u64) -> Vec<Change> {
        self.changes.iter().filter(|change| change.number > number).copied().collect()
    }

    pub(super) fn transitions(&self) -> Vec<Transitions> {
        self.transitions.clone()
    }
}

/// The span give or take a fifth, as the draw falls: breakers that opened together do not try together.
fn jittered(span: Duration, draw: u64) -> Duration {
    // splitmix64's finisher: neighbouring seeds give unlike draws.
    let mixed = (draw ^ draw >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    let fraction = f64::from((mixed >> 32) as u32) / f64::from(u32::MAX);
    span.mul_f64(0.8 + 0.4 * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_a_fifth_either_way() {
        let span = Duration::from_secs(10);
        let spans: Vec<_> = (0..1_000).map(|draw| jittered(span, draw)).collect();
        assert!(spans.iter().all(|span| (8_000..=12_000).contains(&span.as_millis())));
        let (low, high) = (spans.iter().min().unwrap(), spans.iter().max().unwrap());
        assert!(low.as_millis() < 8_100 && high.as_millis() > 11_900, "{low:?} {high:?}");
    }
}
