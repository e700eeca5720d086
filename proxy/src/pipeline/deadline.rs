//! The times one try is bound by.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use outrigger_config::plan::Timeouts;
use outrigger_filters::clock::{Clock, Nanos, SystemClock};
use outrigger_filters::outcome::Outcome;

use super::exchange::Exchange;
use super::inflow::Progress;
use crate::failure::Failure;
use crate::timer::Timer;

/// See the module.
pub(super) struct Deadline<'a> {
    pub(super) began: Nanos,
    timeouts: &'a Timeouts,
    pub(super) progress: Option<&'a Progress>,
    timer: Timer,
    /// When the request was handed to the connection.
    sent: Nanos,
    try_at: Nanos,
    clock: SystemClock,
}

impl<'a> Deadline<'a> {
    /// For a try that begins now and ends by `try_at`.
    pub(super) fn begin(
        exchange: &Exchange,
        timeouts: &'a Timeouts,
        progress: Option<&'a Progress>,
        (began, try_at): (Nanos, Nanos),
    ) -> Self {
        let (timer, clock) = (exchange.worker.timer(), exchange.worker.clock);
        Self { began, timeouts, progress, timer, sent: began, try_at, clock }
    }

    pub(super) fn sent(&mut self) {
        // Close enough unless a connection had to be opened; then the head's time starts after it.
        if self.timer.is_set() {
            self.sent = self.clock.now();
        }
    }

    pub(super) fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// When connecting, begun at `start`, has taken too long.
    pub(super) fn connect_at(&self, start: Nanos) -> Nanos {
        start.after(self.timeouts.connect)
    }

    /// `future`, until `at` or the end of the try.
    pub(super) async fn within<T>(
        &mut self,
        at: Nanos,
        future: impl Future<Output = T>,
        late: impl FnOnce() -> Failure,
    ) -> Result<T, Failure> {
        let at = at.min(self.try_at);
        let mut future = pin!(future);
        let result = std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            self.timer.poll_at(cx, at).map(|()| None)
        })
        .await;
        result.ok_or_else(late)
    }

    /// The head of the answer, in time.
    pub(super) async fn head<T>(
        &mut self,
        mut look: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Failure> {
        std::future::poll_fn(|cx| match look(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_late(cx).map(Err),
        })
        .await
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let timeouts = self.timeouts;
        let body_ended = self.progress.map_or(Some(self.sent), |progress| progress.ended.get());
        let stalled = self.progress.and_then(|progress| progress.client_stalled.get());
        // The client owes bytes, or the upstream takes none, or the upstream owes its answer.
        let phase_at = match (body_ended, stalled) {
            // Not before the try began: a body that is sent again ended long ago.
            (Some(ended), _) => ended.max(self.sent).after(timeouts.first_byte),
            (None, Some(since)) => since.after(timeouts.body_idle),
            (None, None) => self.progress.map_or(self.sent, |p| p.last.get()).after(timeouts.body_idle),
        };
        ready!(self.timer.poll_at(cx, phase_at.min(self.try_at)));
        // While the client owes bytes, nobody else is to be blamed.
        if body_ended.is_some() || (stalled.is_none() && phase_at > self.try_at) {
            let why = "the upstream did not answer in time";
            return Poll::Ready(Failure::sent(Outcome::HttpResponseTimeout, why));
        }
        Poll::Ready(match stalled {
            Some(_) => Failure::sent(Outcome::SlowClient, "the client stopped sending its body"),
            None => Failure::sent(Outcome::ConnectionWriteTimeout, "the upstream stopped reading the body"),
        })
    }
}
