//! From a clean request to the upstream's answer: breaker, endpoint, connection, try, and again where that is right.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{Request, Response};
use hyper::body::Incoming;
use outrigger_filters::clock::Nanos;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::retries::{Attempt, Call, Decision, Original, Token};

use super::answer::{Answer, Told, classify};
use super::attempt::Try;
use super::deadline::Deadline;
use super::exchange::{Exchange, micros};
use super::inflow::{Progress, RequestBody};
use super::{Place, Stop};
use crate::failure::Failure;
use crate::hygiene::hop;
use crate::telemetry::Proto;
use crate::upstream::connection::SendResult;
use crate::upstream::h1::{Heard, Unanswered};
use crate::upstream::pool::{Carrier, Lease};
use crate::worker::Lane;

/// How a request is to be sent.
pub(crate) struct Plan<'a> {
    pub(crate) place: &'a Place,
    pub(crate) lane: &'a Rc<Lane>,
    /// Until when it may wait for a connection while all are in use; none: as long as connecting may take.
    pub(crate) queue_at: Option<Nanos>,
    /// On a fresh connection, which is pooled only if the upstream refuses to switch.
    pub(crate) upgrade: bool,
}

/// Where the next try is to go.
#[derive(Default)]
struct Aim {
    /// On a connection of its own making: the pooled one had been closed.
    fresh: bool,
    /// Not to these endpoints, if there are others.
    avoid: Vec<u64>,
}

/// Sends the request, with `body`, as often as that is right.
pub(crate) async fn send(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    mut body: RequestBody,
    progress: Option<&Progress>,
) -> Result<Answer, Stop> {
    let retries = &plan.place.route.retries;
    let original = Original { method: exchange.request.method(), keyed: false, is_retry: exchange.is_retry };
    let mut call = retries.begin(&original, exchange.started);
    if let Some(progress) = progress {
        let bytes = plan.place.bound.line.as_ref().map(|line| line.bulkhead().bytes());
        progress.keep(retries.replay(&call), bytes);
    }
    let (mut aim, mut price): (_, Option<Token>) = (Aim { fresh: plan.upgrade, ..Aim::default() }, None);
    loop {
        // The first try begins with the request, as near as matters.
        let later = exchange.record.attempts > 0 || exchange.record.timings.queue > 0;
        let now = if later { exchange.worker.now() } else { exchange.started };
        begin(exchange, plan, now)?;
        if let Some(price) = price.take() {
            price.spent();
        }
        exchange.added.previous = call.previous();
        let try_at = try_at(exchange, plan, &call, now);
        exchange.tell_time_left(now, try_at, plan.upgrade);
        let mut clock = Deadline::begin(exchange, &plan.place.route.timeouts, progress, (now, try_at));
        let tried = match acquire(exchange, plan, &mut clock, &aim).await {
            Ok(lease) => once(exchange, plan, (lease, body), &mut clock).await,
            Err((failure, endpoint)) => Err(Missed { failure, body: Some(body), endpoint, stale: false }),
        };
        drop(clock);
        let again = match tried {
            Ok(lease) => {
                let answer = answered(exchange, lease);
                if answer.outcome == Outcome::Ok && retries.is_off() {
                    return Ok(answer);
                }
                let Some(again) = after_answer(exchange, plan, &mut call, &answer, progress) else {
                    return Ok(answer);
                };
                aim.avoid.push(answer.lease.endpoint_id());
                discard(exchange, answer);
                again
            }
            Err(missed) => {
                let now = exchange.worker.now();
                exchange.end_attempt(missed.failure.outcome, now);
                exchange.sent |= missed.failure.sent;
                after_failure(exchange, plan, &mut call, missed, (progress, &mut aim))?
            }
        };
        let (kept, after, token) = again;
        (body, price) = (kept, Some(token));
        wait(exchange, after).await;
    }
}

/// Another try was decided: with this body, after this time, at this price.
type Again = (RequestBody, Duration, Token);

/// Asks the breaker, and begins a try.
fn begin(exchange: &mut Exchange, plan: &Plan<'_>, now: Nanos) -> Result<(), Stop> {
    let permit = match &plan.place.route.breaker {
        None => None,
        Some(fuse) => {
            let draw = (exchange.worker.random.borrow_mut().next_u64() >> 32) as u32;
            let permit = fuse.breaker.acquire(now, draw, false);
            Some(permit.map_err(|rejection| Stop::Turned(rejection, Arc::clone(&fuse.name)))?)
        }
    };
    if let Some(call) = &exchange.call {
        call.begins_try(now);
    }
    exchange.begin_attempt(plan.place.bound.side().attempts, permit, now);
    Ok(())
}

/// When a try has taken too long: its own time, its part of the time left, a probe's time.
fn try_at(exchange: &Exchange, plan: &Plan<'_>, call: &Call, now: Nanos) -> Nanos {
    let route = &plan.place.route;
    let share = || exchange.total_at.since(now).checked_div(route.retries.left(call)).unwrap_or_default();
    let try_at = match (route.timeouts.per_try, route.retries.left(call)) {
        (Some(per_try), _) => now.after(per_try),
        (None, 1) => exchange.total_at,
        (None, _) => now.after(share()),
    };
    let probe_at = exchange.attempt.as_ref().and_then(Try::give_up_at).unwrap_or(exchange.total_at);
    try_at.min(probe_at).min(exchange.total_at)
}

fn answered(exchange: &mut Exchange, lease: Lease) -> Answer {
    let (outcome, awaits_grpc_status) = classify(&exchange.response, lease.is_end_stream());
    let now = exchange.worker.now();
    let told = Told::read(&exchange.response, outcome);
    if let Some(call) = &exchange.call {
        call.answered();
    }
    (exchange.answered_at, exchange.sent) = (now, exchange.sent || !told.unsent);
    if let Some(attempt) = &mut exchange.attempt {
        attempt.answered(told, now);
    }
    Answer { lease, outcome, awaits_grpc_status }
}

/// Whether to ask again although an answer is here.
fn after_answer(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    call: &mut Call,
    answer: &Answer,
    progress: Option<&Progress>,
) -> Option<Again> {
    let told = exchange.attempt.as_ref().map_or_else(Told::default, Try::told);
    let facts = Attempt {
        elsewhere: plan.lane.endpoint_count() > 1,
        replayable: progress.is_none_or(Progress::is_kept),
        retry_after: told.retry_after,
        no_retry: told.no_retry,
        ..Attempt::new(answer.outcome, told.status, !told.unsent)
    };
    let (after, token, _) = decide(exchange, plan, call, &facts, exchange.answered_at)?;
    Some((progress.map_or(RequestBody::Empty, Progress::again), after, token))
}

/// Whether to try again after a failure, and where.
fn after_failure(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    call: &mut Call,
    missed: Missed,
    (progress, aim): (Option<&Progress>, &mut Aim),
) -> Result<Again, Stop> {
    let Missed { failure, body, endpoint, stale } = missed;
    let facts = Attempt {
        stale,
        elsewhere: endpoint.is_none() || plan.lane.endpoint_count() > 1,
        replayable: body.is_some() || progress.is_none_or(Progress::is_kept),
        ..Attempt::new(failure.outcome, None, failure.sent)
    };
    let now = exchange.worker.now();
    let Some((after, token, elsewhere)) = decide(exchange, plan, call, &facts, now) else {
        return Err(Stop::Failed(failure));
    };
    aim.fresh = plan.upgrade || stale;
    if elsewhere {
        aim.avoid.extend(endpoint);
    }
    let again = body.unwrap_or_else(|| progress.map_or(RequestBody::Empty, Progress::again));
    Ok((again, after, token))
}

fn decide(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    call: &mut Call,
    facts: &Attempt,
    now: Nanos,
) -> Option<(Duration, Token, bool)> {
    let draw = exchange.worker.random.borrow_mut().next_u64();
    match plan.place.route.retries.decide(call, facts, exchange.total_at.since(now), now, draw) {
        Decision::Retry { after, token, elsewhere } => Some((after, token, elsewhere)),
        Decision::No(reason) => {
            exchange.no_retry |= reason.is_final_for_callers();
            None
        }
    }
}

async fn wait(exchange: &Exchange, after: Duration) {
    if !after.is_zero() {
        let at = exchange.worker.now().after(after);
        Box::pin(async { exchange.worker.timer().until(at).await }).await;
    }
}

/// Ends a try whose answer nobody gets.
fn discard(exchange: &mut Exchange, answer: Answer) {
    let now = exchange.worker.now();
    exchange.end_attempt(answer.outcome, now);
    answer.lease.discard(now);
}

/// A try without an answer.
struct Missed {
    failure: Failure,
    /// Given back only if nothing of the request was sent.
    body: Option<RequestBody>,
    /// Where it was, or would have been; none if nobody was to be found.
    endpoint: Option<u64>,
    /// It was only that a pooled connection had been closed.
    stale: bool,
}

/// A connection: pooled if one is ready, else a new one.
async fn acquire(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    clock: &mut Deadline<'_>,
    aim: &Aim,
) -> Result<Lease, (Failure, Option<u64>)> {
    let worker = Rc::clone(&exchange.worker);
    let now = clock.began;
    let mut chosen = plan.lane.choose(&worker, &aim.avoid, now);
    if chosen.is_none() && plan.lane.endpoint_count() == 0 {
        let resolved = Box::pin(plan.lane.cluster.wait_resolved());
        let timeout = || Failure::unsent(Outcome::DnsTimeout, "the name was not resolved in time");
        clock.within(clock.connect_at(now), resolved, timeout).await.map_err(|failure| (failure, None))?;
        chosen = plan.lane.choose(&worker, &aim.avoid, now);
    }
    let Some(pool) = chosen else {
        let failure = Failure::unsent(plan.lane.cluster.trouble(), "there is no endpoint");
        return Err((failure, None));
    };
    if !aim.fresh
        && let Some(lease) = pool.ready(now)
    {
        return Ok(lease);
    }
    // Boxed because it is rare and large: the state of every request would be as large.
    let connected = Box::pin(connect(plan, clock, &pool)).await;
    exchange.record.timings.connect = micros(now, worker.now());
    connected.map_err(|failure| (failure, Some(pool.endpoint.id)))
}

/// A new connection, or one that comes free first.
async fn connect(
    plan: &Plan<'_>,
    clock: &mut Deadline<'_>,
    pool: &Rc<crate::upstream::pool::EndpointPool>,
) -> Result<Lease, Failure> {
    let (mut start, mut again) = (clock.began, false);
    while !pool.has_room() {
        let at = plan.queue_at.unwrap_or_else(|| clock.connect_at(start));
        let full = || Failure::unsent(Outcome::ConnectionLimitReached, "no connection came free in time");
        if let Some(lease) = clock.within(at, pool.turn(again), full).await?? {
            return Ok(lease);
        }
        // Room for a new one, unless somebody was quicker.
        (start, again) = (clock.now(), true);
    }
    let late = || Failure::unsent(Outcome::ConnectionTimeout, "the endpoint did not accept in time");
    clock.within(clock.connect_at(start), pool.open(&plan.lane.cluster), late).await?
}

/// One try. The head of its answer goes to the exchange.
async fn once(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    (mut lease, body): (Lease, RequestBody),
    clock: &mut Deadline<'_>,
) -> Result<Lease, Missed> {
    let endpoint = Some(lease.endpoint_id());
    if let (Some(call), Some(pool)) = (&exchange.call, lease.own_pool()) {
        call.carried_by(pool);
    }
    // What a connection that is going away never saw, another one to the same endpoint will carry.
    let is_stale = |failure: &Failure| !failure.sent && failure.outcome == Outcome::ConnectionTerminated;
    let missed = |failure: Failure| Missed { stale: is_stale(&failure), failure, body: None, endpoint };
    clock.sent();
    let result = match &mut lease.carrier {
        Carrier::Own(h1) => {
            if h1.begin(&exchange.request, |out| exchange.write_added(out), body).is_err() {
                let why = "the length of the body is not what the client says";
                return Err(missed(Failure::unsent(Outcome::ClientCancelled, why)));
            }
            loop {
                match clock.head(|cx| h1.poll_head(cx, &mut exchange.response)).await {
                    Ok(Ok(Heard::Interim)) => exchange.pass_interim(),
                    other => break other.map(|heard| heard.map(drop)),
                }
            }
        }
        Carrier::Shared(..) if plan.upgrade => {
            return Err(missed(Failure::unsent(Outcome::HttpUpgradeFailed, "no upgrade over HTTP/2")));
        }
        Carrier::Shared(h2, incoming) => {
            if let Some(attempt) = &mut exchange.attempt {
                attempt.proto = Proto::H2;
            }
            let request = as_http2(exchange, plan.lane.cluster.tls.is_some()).map(|()| body);
            // Boxed for the size of the others' state.
            let mut answer = Box::pin(h2.send(request));
            let sent = clock.head(|cx| answer.as_mut().poll(cx)).await;
            sent.map(|sent| shared(sent, &mut exchange.response, incoming, clock.progress))
        }
        Carrier::Returned => {
            let failure = Failure::unsent(Outcome::ProxyInternalError, "the connection was given back early");
            Err(failure)
        }
    };
    match result {
        Ok(Ok(())) => Ok(lease),
        Ok(Err(Unanswered::Unsent(body))) => Err(Missed {
            failure: Failure::unsent(Outcome::ConnectionTerminated, "the pooled connection was closed"),
            body: Some(body),
            endpoint,
            stale: true,
        }),
        Ok(Err(Unanswered::Failed(failure))) | Err(failure) => Err(missed(failure)),
    }
}

/// What came of a request over HTTP/2; the body of its answer goes to the lease.
fn shared(
    sent: SendResult,
    head: &mut Response<()>,
    body: &mut Option<Incoming>,
    progress: Option<&Progress>,
) -> Result<(), Unanswered> {
    match sent {
        Ok(response) if hop::is_ambiguous(response.headers()) => {
            let why = "the answer can be framed in two ways";
            Err(Unanswered::Failed(Failure::sent(Outcome::HttpProtocolError, why)))
        }
        Ok(response) => {
            let (parts, incoming) = response.into_parts();
            *body = Some(incoming);
            *head = Response::from_parts(parts, ());
            Ok(())
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
