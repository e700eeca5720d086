//! The consent of a breaker to one attempt.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Breaker;
use super::machine::Role;
use super::meter::Entry;
use crate::clock::Nanos;
use crate::evidence::{Ended, Verdict, evidence};

/// One attempt that a breaker let through. Keep it until the attempt is over, then settle it. Dropping it gives back
/// what it holds and teaches nothing.
#[must_use = "dropping it at once tells the breaker nothing of the attempt"]
pub struct Permit {
    breaker: Arc<Breaker>,
    /// None where the breaker, in shadow, would have refused.
    entry: Option<Entry>,
    since: Nanos,
    answered: Option<Nanos>,
}

impl Permit {
    pub(super) const fn new(breaker: Arc<Breaker>, entry: Entry, since: Nanos) -> Self {
        Self { breaker, entry: Some(entry), since, answered: None }
    }

    pub(super) const fn in_shadow(breaker: Arc<Breaker>, since: Nanos) -> Self {
        Self { breaker, entry: None, since, answered: None }
    }

    /// Whether the attempt is one of the few that try whether the upstream works again.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        matches!(self.entry, Some(Entry { role: Role::Probe(_), .. }))
    }

    /// How long the attempt may wait for its answer: a probe that takes longer has failed, so nobody need wait.
    #[must_use]
    pub fn time_limit(&self) -> Option<Duration> {
        self.is_probe().then(|| self.breaker.slow_threshold())
    }

    /// Whether a breaker that enforces would have refused the attempt.
    #[must_use]
    pub const fn is_shadowed(&self) -> bool {
        self.entry.is_none()
    }

    /// The head of the answer is here. From now on the attempt does not hang, however long its body or stream takes,
    /// and how fast the upstream was is decided: a caller who reads slowly does not make it slow.
    pub fn answered(&mut self, now: Nanos) {
        if self.answered.is_none() {
            self.answered = Some(now);
            if let Some(entry) = &self.entry {
                self.breaker.meter.window.begun(entry.tick);
            }
        }
    }

    /// The attempt is over; what that means is read from the feed table.
    pub fn settle(mut self, ended: Ended, now: Nanos) {
        let slow = self.answered.unwrap_or(now).since(self.since) > self.breaker.knobs.threshold;
        let verdict = evidence(ended, slow).breaker;
        self.end(verdict, ended.retry_after, now);
    }

    fn end(&mut self, verdict: Verdict, retry_after: Option<Duration>, now: Nanos) {
        let Some(entry) = self.entry.take() else { return };
        let (knobs, meter) = (&self.breaker.knobs, &self.breaker.meter);
        if self.answered.is_none() {
            meter.window.begun(entry.tick);
        }
        meter.window.over();
        if let Some(wait) =
            retry_after.filter(|_| matches!(verdict, Verdict::Bad { .. } | Verdict::Throttled))
        {
            meter.hear_retry_after(wait, now);
        }
        meter.learn(knobs, entry, verdict, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // The moment of admission stands in: nothing is learned, so the end does not matter.
        self.end(Verdict::Nothing, None, self.since);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("entry", &self.entry)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}
