//! One try at the upstream: reported once, and settled with the breaker that let it through.

use outrigger_filters::circuit_breaker::Permit;
use outrigger_filters::clock::{Clock, Nanos, SystemClock};
use outrigger_filters::evidence::Ended;
use outrigger_filters::outcome::Outcome;

use super::answer::Told;
use super::exchange::{Exchange, micros};
use crate::telemetry::{Attempt, AttemptSeries, Method, Proto};

/// A try that is under way until it is ended. Dropped before, it has been abandoned by its caller.
pub(crate) struct Try {
    series: AttemptSeries,
    started: Nanos,
    method: Method,
    pub(super) proto: Proto,
    permit: Option<Permit>,
    told: Told,
    clock: SystemClock,
    open: bool,
}

impl Try {
    pub(super) fn begin(
        series: AttemptSeries,
        permit: Option<Permit>,
        exchange: &mut Exchange,
        now: Nanos,
    ) -> Self {
        exchange.record.attempts = exchange.record.attempts.saturating_add(1);
        let (method, clock) = (exchange.record.method, exchange.worker.clock);
        Self {
            series,
            started: now,
            method,
            proto: Proto::H11,
            permit,
            told: Told::default(),
            clock,
            open: true,
        }
    }

    /// Not reported yet.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

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
        self.told = told;
        if let Some(permit) = &mut self.permit {
            permit.answered(now);
        }
    }

    /// What the breaker is to learn is known already, whatever becomes of the rest.
    pub(super) fn settle(&mut self, outcome: Outcome, now: Nanos) {
        if let Some(permit) = self.permit.take() {
            let Told { status, grpc, retry_after, .. } = self.told;
            permit.settle(Ended { outcome, status, grpc, retry_after }, now);
        }
    }

    pub(crate) fn end(&mut self, exchange: &Exchange, outcome: Outcome, now: Nanos) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        self.settle(outcome, now);
        let status = self.told.status.unwrap_or(exchange.record.status);
        let total_us = micros(self.started, now);
        let attempt = Attempt { method: self.method, status, proto: self.proto, outcome, total_us };
        exchange.worker.telemetry.attempt(self.series, &attempt);
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        if self.permit.is_some() {
            // The caller left: no fault of the upstream, unless it was slow by then.
            let now = self.clock.now();
            self.settle(Outcome::ClientCancelled, now);
        }
    }
}
