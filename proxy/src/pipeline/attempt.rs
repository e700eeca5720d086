//! One try at the upstream: reported once, and settled with the breaker that let it through.

use std::rc::Rc;

use outrigger_filters::circuit_breaker::Permit;
use outrigger_filters::clock::Nanos;
use outrigger_filters::evidence::Ended;
use outrigger_filters::outcome::Outcome;

use super::answer::Told;
use super::exchange::{Exchange, micros};
use crate::telemetry::{Attempt, AttemptSeries, Proto};
use crate::upstream::pool::EndpointPool;

/// A try that is under way until it is ended. The exchange has it, and ends it at the latest when it ends itself.
pub(crate) struct Try {
    series: AttemptSeries,
    started: Nanos,
    pub(super) proto: Proto,
    permit: Option<Permit>,
    /// Where it went, if there was a choice: the balancer learns from it.
    pub(super) pool: Option<Rc<EndpointPool>>,
    told: Told,
    answered: Option<Nanos>,
}

impl Try {
    /// When the breaker gives up on it: it lets few calls try, and none for long.
    pub(super) fn give_up_at(&self) -> Option<Nanos> {
        Some(self.started.after(self.permit.as_ref()?.time_limit()?))
    }

    /// What the head of the answer said.
    pub(super) const fn told(&self) -> Told {
        self.told
    }

    /// The head of the answer is here. However long its body takes, it does not hang.
    pub(super) fn answered(&mut self, told: Told, now: Nanos) {
        (self.told, self.answered) = (told, Some(now));
        if let Some(permit) = &mut self.permit {
            permit.answered(now);
        }
    }

    /// What breaker and balancer are to learn is known already, whatever becomes of the rest.
    pub(super) fn settle(&mut self, outcome: Outcome, now: Nanos) {
        let Told { status, grpc, retry_after, .. } = self.told;
        let ended = Ended { outcome, status, grpc, retry_after };
        if let Some(permit) = self.permit.take() {
            permit.settle(ended, now);
        }
        if let Some(pool) = self.pool.take() {
            pool.load.learn(ended, self.answered.unwrap_or(now).since(self.started), now);
        }
    }
}

impl Exchange {
    /// Begins a try, which the breaker let through if there is one.
    pub(super) fn begin_attempt(&mut self, series: AttemptSeries, permit: Option<Permit>, now: Nanos) {
        self.record.attempts = self.record.attempts.saturating_add(1);
        self.attempt = Some(Try {
            series,
            started: now,
            proto: Proto::H11,
            permit,
            pool: None,
            told: Told::default(),
            answered: None,
        });
    }

    /// Reports the try under way, if there is one.
    pub(super) fn end_attempt(&mut self, outcome: Outcome, now: Nanos) {
        let Some(mut attempt) = self.attempt.take() else { return };
        attempt.settle(outcome, now);
        let Try { series, started, proto, told, .. } = attempt;
        let (method, status) = (self.record.method, told.status.unwrap_or(0));
        let attempt = Attempt { method, status, proto, outcome, total_us: micros(started, now) };
        self.worker.telemetry.attempt(series, &attempt);
    }
}
