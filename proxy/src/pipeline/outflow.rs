//! The answer's body on its way to the client: streamed, counted, bounded in time, and the end of the exchange.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use outrigger_filters::clock::Nanos;
use outrigger_filters::outcome::Outcome;

use super::exchange::Exchange;
use super::parked::Parked;
use crate::timer::Timer;
use crate::upstream::h1::BrokenOff;
use crate::upstream::pool::Lease;

/// The body of a response we send.
pub(crate) enum ReplyBody {
    Empty,
    Full(Bytes),
    Upstream(Box<Outflow>),
    /// The same over HTTP/2.
    Parked(Rc<Parked>),
}

/// A body that comes from the upstream.
pub(crate) struct Outflow {
    lease: Lease,
    exchange: Box<Exchange>,
    timer: Timer,
    limits: Limits,
    /// What the exchange comes to if the rest arrives.
    outcome: Outcome,
    /// A gRPC answer whose status is still to come in the trailers.
    awaits_grpc_status: bool,
    progress: Option<Nanos>,
    /// When the head came, until something has to be waited for.
    at_once: Option<Nanos>,
}

/// When a body has taken too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// None for streams.
    pub(crate) total_at: Option<Nanos>,
    pub(crate) idle: Duration,
}

/// The answer broke off. The client's connection is closed so that it can tell.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(&'static str);

impl Broken {
    pub(super) const fn not_taken() -> Self {
        Self("the client did not take the answer in time")
    }
}

impl Outflow {
    pub(crate) fn new(
        lease: Lease,
        exchange: Box<Exchange>,
        (limits, outcome, awaits_grpc_status): (Limits, Outcome, bool),
        answered: Nanos,
    ) -> Box<Self> {
        let timer = exchange.worker.timer();
        let progress = Some(answered);
        Box::new(Self {
            lease,
            exchange,
            timer,
            limits,
            outcome,
            awaits_grpc_status,
            progress,
            at_once: progress,
        })
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.lease.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.lease.size_hint()
    }

    /// When the whole answer must have been taken; none for streams.
    pub(super) const fn total_at(&self) -> Option<Nanos> {
        self.limits.total_at
    }

    /// The client had its time.
    pub(super) fn not_taken(&mut self) {
        self.fail(Outcome::SlowClient, Broken::not_taken().0);
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.lease.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.passed(&frame);
                if self.lease.is_end_stream() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(BrokenOff))) => {
                let why = "the upstream broke off its answer";
                Poll::Ready(Some(Err(self.fail(Outcome::HttpResponseIncomplete, why))))
            }
            Poll::Ready(None) => {
                self.complete();
                Poll::Ready(None)
            }
            Poll::Pending => {
                self.at_once = None;
                self.poll_late(cx).map(|broken| Some(Err(broken)))
            }
        }
    }

    fn passed(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            let bytes = &mut self.exchange.record.bytes_out;
            *bytes = bytes.saturating_add(data.len() as u64);
            if !self.lease.is_end_stream() {
                // The client may take its time over this.
                (self.progress, self.at_once) = (None, None);
            }
        } else if let Some(trailers) = frame.trailers_ref()
            && let Some(outcome) = grpc_outcome(trailers)
            && std::mem::take(&mut self.awaits_grpc_status)
        {
            self.outcome = outcome;
        }
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Broken> {
        let since = match self.progress {
            Some(since) => since,
            None => *self.progress.insert(self.exchange.worker.now()),
        };
        let idle_at = since.after(self.limits.idle);
        let at = self.limits.total_at.map_or(idle_at, |total| total.min(idle_at));
        std::task::ready!(self.timer.poll_at(cx, at));
        Poll::Ready(if at == idle_at {
            self.fail(Outcome::ConnectionReadTimeout, "the upstream's answer stalled")
        } else {
            self.fail(Outcome::HttpResponseTimeout, "the answer was not complete in the total time")
        })
    }

    fn complete(&mut self) {
        if std::mem::take(&mut self.awaits_grpc_status) {
            self.outcome = Outcome::HttpResponseIncomplete;
            self.exchange.detail = "the gRPC answer has no status";
        }
        let now = self.end(self.outcome);
        self.lease.finish(now);
    }

    fn fail(&mut self, outcome: Outcome, why: &'static str) -> Broken {
        self.exchange.detail = why;
        self.end(outcome);
        Broken(why)
    }

    fn end(&mut self, outcome: Outcome) -> Nanos {
        // If nothing had to be waited for since the head, next to no time has passed.
        let now = self.at_once.take().unwrap_or_else(|| self.exchange.worker.now());
        self.exchange.finish(outcome, now);
        now
    }
}

/// What a gRPC status comes to, by OpenTelemetry's conventions for gRPC servers.
pub(crate) fn grpc_outcome(headers: &HeaderMap) -> Option<Outcome> {
    let status = headers.get("grpc-status")?.to_str().ok()?.parse::<u16>().ok()?;
    Some(match status {
        0 => Outcome::Ok,
        2 | 4 | 12..=15 => Outcome::GrpcError,
        _ => Outcome::ClientError,
    })
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Upstream(outflow) => outflow.poll(cx),
            Self::Parked(parked) => parked.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Upstream(outflow) => outflow.is_end_stream(),
            Self::Parked(parked) => parked.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(outflow) => outflow.size_hint(),
            Self::Parked(parked) => parked.size_hint(),
        }
    }
}
