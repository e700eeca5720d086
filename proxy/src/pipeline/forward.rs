//! From a clean request to the upstream's answer: endpoint, connection, try, one free retry.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::Request;
use http::Response;
use http::uri::{Authority, Scheme};
use hyper::body::Incoming;
use outrigger_config::plan::Timeouts;
use outrigger_filters::clock::Nanos;
use outrigger_filters::outcome::Outcome;

use super::exchange::{Exchange, micros};
use super::inflow::{Progress, RequestBody};
use crate::failure::Failure;
use crate::hygiene::hop;
use crate::telemetry::{Attempt, AttemptSeries, Method, Proto, Retry};
use crate::timer::Timer;
use crate::upstream::connection::SendResult;
use crate::upstream::h1::Unanswered;
use crate::upstream::pool::{Carrier, Lease};
use crate::worker::Lane;

/// One try at the upstream, reported once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    series: AttemptSeries,
    started: Nanos,
    method: Method,
    proto: Proto,
    open: bool,
}

impl Try {
    fn begin(series: AttemptSeries, exchange: &mut Exchange, now: Nanos) -> Self {
        exchange.record.attempts = exchange.record.attempts.saturating_add(1);
        let method = exchange.record.method;
        Self { series, started: now, method, proto: Proto::H11, open: true }
    }

    /// Not reported yet.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn end(&mut self, exchange: &Exchange, outcome: Outcome, now: Nanos) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let status = exchange.record.status;
        let total_us = micros(self.started, now);
        let attempt = Attempt { method: self.method, status, proto: self.proto, outcome, total_us };
        exchange.worker.telemetry.attempt(self.series, &attempt);
    }
}

/// An answer's head, and what its body needs.
pub(crate) struct Answer {
    pub(crate) response: Response<()>,
    pub(crate) lease: Lease,
    pub(crate) attempt: Try,
}

/// How a request is to be sent.
pub(crate) struct Plan<'a> {
    pub(crate) lane: &'a Rc<Lane>,
    pub(crate) series: AttemptSeries,
    pub(crate) timeouts: Timeouts,
    pub(crate) total_at: Nanos,
    /// On a fresh connection, which is pooled only if the upstream refuses to switch.
    pub(crate) upgrade: bool,
}

/// Sends the request, with `body`. What is certain not to have been sent is sent once more, on a fresh connection or elsewhere.
pub(crate) async fn send(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    mut body: RequestBody,
    progress: Option<&Progress>,
) -> Result<Answer, Failure> {
    let mut avoid = None;
    loop {
        let is_retry = exchange.record.attempts > 0;
        // The first try begins with the request, as near as matters.
        let later = is_retry || exchange.record.timings.queue > 0;
        let now = if later { exchange.worker.now() } else { exchange.started };
        let mut attempt = Try::begin(plan.series, exchange, now);
        // After a stale connection a fresh one; after an endpoint that cannot be reached any of another.
        let fresh = plan.upgrade || (is_retry && avoid.is_none());
        let mut clock = Deadline::begin(exchange, plan, progress, now);
        let tried = match acquire(exchange, plan, &mut clock, fresh, avoid).await {
            Ok(lease) => once(exchange, plan, (lease, body), (&mut attempt, &mut clock)).await,
            Err((failure, endpoint)) => Err(Missed { failure, body: Some(body), endpoint }),
        };
        let missed = match tried {
            Ok((response, lease)) => return Ok(Answer { response, lease, attempt }),
            Err(missed) => missed,
        };
        let now = exchange.worker.now();
        attempt.end(exchange, missed.failure.outcome, now);
        let elsewhere = plan.lane.endpoint_count() > 1 || missed.endpoint.is_none();
        match missed.body {
            Some(unsent) if !is_retry && missed.failure.may_retry(elsewhere) && now < plan.total_at => {
                exchange.worker.telemetry.retry(plan.series, Retry::Unsent);
                body = unsent;
                avoid = missed.endpoint;
            }
            _ => return Err(missed.failure),
        }
    }
}

/// A try without an answer.
struct Missed {
    failure: Failure,
    /// Given back only if nothing of the request was sent.
    body: Option<RequestBody>,
    /// The endpoint that could not be reached; none if it was only a stale connection.
    endpoint: Option<u64>,
}

/// A connection: pooled if one is ready, else a new one.
async fn acquire(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    clock: &mut Deadline<'_>,
    fresh: bool,
    avoid: Option<u64>,
) -> Result<Lease, (Failure, Option<u64>)> {
    let worker = Rc::clone(&exchange.worker);
    let now = clock.began;
    let mut chosen = plan.lane.choose(&worker, avoid);
    if chosen.is_none() && plan.lane.endpoint_count() == 0 {
        let resolved = Box::pin(plan.lane.cluster.wait_resolved());
        let timeout = || Failure::unsent(Outcome::DnsTimeout, "the name was not resolved in time");
        clock.connecting(resolved, timeout).await.map_err(|failure| (failure, None))?;
        chosen = plan.lane.choose(&worker, avoid);
    }
    let Some(pool) = chosen else {
        let failure = Failure::unsent(plan.lane.cluster.trouble(), "there is no endpoint");
        return Err((failure, None));
    };
    if !fresh && let Some(lease) = pool.ready(now) {
        return Ok(lease);
    }
    let timeout = || match pool.is_full() {
        true => Failure::unsent(Outcome::ConnectionLimitReached, "no connection came free in time"),
        false => Failure::unsent(Outcome::ConnectionTimeout, "the endpoint did not accept in time"),
    };
    // Boxed because it is rare and large: the state of every request would be as large.
    let connected = clock.connecting(Box::pin(pool.connect(&plan.lane.cluster)), timeout).await;
    exchange.record.timings.connect = micros(now, worker.now());
    connected.and_then(|connected| connected).map_err(|failure| (failure, Some(pool.endpoint.id)))
}

async fn once(
    exchange: &Exchange,
    plan: &Plan<'_>,
    (mut lease, body): (Lease, RequestBody),
    (attempt, clock): (&mut Try, &mut Deadline<'_>),
) -> Result<(Response<()>, Lease), Missed> {
    let missed = |failure| Missed { failure, body: None, endpoint: None };
    clock.sent();
    let result = match &mut lease.carrier {
        Carrier::Own(h1) => {
            if h1.begin(&exchange.request, |out| exchange.write_added(out), body).is_err() {
                let why = "the length of the body is not what the client says";
                return Err(missed(Failure::unsent(Outcome::ClientCancelled, why)));
            }
            clock.head(|cx| h1.poll_head(cx)).await
        }
        Carrier::Shared(..) if plan.upgrade => {
            return Err(missed(Failure::unsent(Outcome::HttpUpgradeFailed, "no upgrade over HTTP/2")));
        }
        Carrier::Shared(h2, incoming) => {
            attempt.proto = Proto::H2;
            let request = as_http2(exchange, plan.lane.cluster.tls.is_some()).map(|()| body);
            let mut answer = pin!(h2.send(request));
            let sent = clock.head(|cx| answer.as_mut().poll(cx)).await;
            sent.map(|sent| shared(sent, incoming, clock.progress))
        }
        Carrier::Returned => {
            let failure = Failure::unsent(Outcome::ProxyInternalError, "the connection was given back early");
            Err(failure)
        }
    };
    match result {
        Ok(Ok(response)) => Ok((response, lease)),
        Ok(Err(Unanswered::Unsent(body))) => Err(Missed {
            failure: Failure::unsent(Outcome::ConnectionTerminated, "the pooled connection was closed"),
            body: Some(body),
            endpoint: None,
        }),
        Ok(Err(Unanswered::Failed(failure))) | Err(failure) => Err(missed(failure)),
    }
}

/// What came of a request over HTTP/2; the body of its answer goes to the lease.
fn shared(
    sent: SendResult,
    body: &mut Option<Incoming>,
    progress: Option<&Progress>,
) -> Result<Response<()>, Unanswered> {
    match sent {
        Ok(response) if hop::is_ambiguous(response.headers()) => {
            let why = "the answer can be framed in two ways";
            Err(Unanswered::Failed(Failure::sent(Outcome::HttpProtocolError, why)))
        }
        Ok(response) => {
            let (parts, incoming) = response.into_parts();
            *body = Some(incoming);
            Ok(Response::from_parts(parts, ()))
        }
        Err(mut error) => Err(match error.take_message() {
            Some(request) => Unanswered::Unsent(request.into_body()),
            None => Unanswered::Failed(exchange_failure(&error.into_error(), progress)),
        }),
    }
}

fn exchange_failure(error: &hyper::Error, progress: Option<&Progress>) -> Failure {
    if progress.is_some_and(|progress| progress.broken.get()) {
        return Failure::sent(Outcome::ClientCancelled, "the client broke off its request");
    }
    Failure::of_exchange(error)
}

/// The request for HTTP/2, which has the host in `:authority` and the scheme in `:scheme`.
fn as_http2(exchange: &Exchange, tls: bool) -> Request<()> {
    let mut request = exchange.request.clone();
    exchange.insert_added(request.headers_mut());
    let host = request.headers_mut().remove(http::header::HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = authority.or_else(|| Some(Authority::from_static("localhost")));
    *request.uri_mut() = http::Uri::from_parts(parts).unwrap_or_default();
    *request.version_mut() = http::Version::HTTP_2;
    request
}

/// The times one try is bound by.
struct Deadline<'a> {
    began: Nanos,
    plan: &'a Plan<'a>,
    progress: Option<&'a Progress>,
    timer: Timer,
    /// When the request was handed to the connection.
    sent: Nanos,
    try_at: Nanos,
    clock: outrigger_filters::clock::SystemClock,
}

impl<'a> Deadline<'a> {
    fn begin(exchange: &Exchange, plan: &'a Plan<'a>, progress: Option<&'a Progress>, now: Nanos) -> Self {
        let total = plan.total_at;
        let try_at = plan.timeouts.per_try.map_or(total, |per_try| now.after(per_try).min(total));
        let (timer, clock) = (exchange.worker.timer(), exchange.worker.clock);
        Self { began: now, plan, progress, timer, sent: now, try_at, clock }
    }

    fn sent(&mut self) {
        use outrigger_filters::clock::Clock;
        // Close enough unless a connection had to be opened; then the head's time starts after it.
        if self.timer_was_used() {
            self.sent = self.clock.now();
        }
    }

    fn timer_was_used(&self) -> bool {
        self.timer.is_set()
    }

    /// `future`, within the time to connect.
    async fn connecting<T>(
        &mut self,
        future: impl Future<Output = T>,
        late: impl FnOnce() -> Failure,
    ) -> Result<T, Failure> {
        let at = self.began.after(self.plan.timeouts.connect).min(self.try_at);
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
    async fn head<T>(&mut self, mut look: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Result<T, Failure> {
        std::future::poll_fn(|cx| match look(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_late(cx).map(Err),
        })
        .await
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let timeouts = &self.plan.timeouts;
        let body_ended = self.progress.map_or(Some(self.sent), |progress| progress.ended.get());
        let stalled = self.progress.and_then(|progress| progress.client_stalled.get());
        // The client owes bytes, or the upstream takes none, or the upstream owes its answer.
        let phase_at = match (body_ended, stalled) {
            (Some(ended), _) => ended.after(timeouts.first_byte),
            (None, Some(since)) => since.after(timeouts.body_idle),
            (None, None) => self.progress.map_or(self.sent, |p| p.last.get()).after(timeouts.body_idle),
        };
        ready!(self.timer.poll_at(cx, phase_at.min(self.try_at)));
        if phase_at > self.try_at || body_ended.is_some() {
            let why = "the upstream did not answer in time";
            return Poll::Ready(Failure::sent(Outcome::HttpResponseTimeout, why));
        }
        Poll::Ready(match stalled {
            Some(_) => Failure::sent(Outcome::SlowClient, "the client stopped sending its body"),
            None => Failure::sent(Outcome::ConnectionWriteTimeout, "the upstream stopped reading the body"),
        })
    }
}
