//! The life of a request, top to bottom.
//!
//! ```text
//! request → clean? → snapshot → side and route → exchange begins → gates → forward → reply
//!                                                                  (record, at the end of the reply's body)
//! ```

pub(crate) mod answer;
pub(crate) mod attempt;
mod deadline;
pub(crate) mod exchange;
pub(crate) mod forward;
pub(crate) mod inflow;
mod interim;
pub(crate) mod lineage;
pub(crate) mod outflow;
pub(crate) mod outgoing;
pub(crate) mod parked;
pub(crate) mod target;
mod tunnel;

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, header};
use hyper::body::{Body, Incoming};
use outrigger_filters::chain::{Admitted, Chain};
use outrigger_filters::clock::Nanos;
use outrigger_filters::filter::Rejection;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::request::RequestView;

use crate::failure::Failure;
use crate::hygiene::hop;
use crate::hygiene::seen::Field;
use crate::respond::{self, Refusal};
use crate::router::Target;
use crate::server::connection::Connection;
use crate::snapshot::Route;
use crate::telemetry::Proto;
use crate::worker::{Bound, Lane};

use answer::Answer;
use exchange::Exchange;
use inflow::{Progress, RequestBody};
use outflow::{Limits, Outflow, ReplyBody};

/// What stands in the way of an answer from upstream.
pub(crate) enum Stop {
    /// Refused by a policy; the rule counts from the first of its chain.
    Rejected(Rejection, Arc<Chain>),
    /// Refused by the breaker or the isolation of what has this name.
    Turned(Rejection, Arc<str>),
    /// Refused as it stands.
    Refused(Refusal),
    /// Tried, without success.
    Failed(Failure),
}

/// Answers one request. Never fails: what goes wrong becomes an answer.
pub(crate) async fn serve(connection: Rc<Connection>, mut request: Request<Incoming>) -> Response<ReplyBody> {
    let started = connection.worker.now();
    if connection.is_self_request(&request) {
        return respond::self_answer();
    }
    // hyper says that it was asked to switch; our guard holds back what follows until we have answered.
    // Exactly when it holds: a leave to read on that is not used at once would let the next upgrade through early.
    let holds = holds(&request);
    let client = holds.then(|| hyper::upgrade::on(&mut request));
    let _resume = holds.then(|| connection.resume_unless_switched());
    let (parts, body) = request.into_parts();
    let local = connection.worker.local();
    let request = Request::from_parts(parts, ());
    let mut exchange = Exchange::begin(&connection, &local.snapshot, request, started);
    let waits = exchange.seen.has(Field::Expect);
    let (place, upgrade) = match target::find(&connection, &local, &mut exchange) {
        Ok((place, upgrade)) => (place, client.filter(|_| upgrade)),
        Err(refusal) => {
            let answer = respond::stop(exchange, Some(body), &Stop::Refused(refusal), None);
            return if waits { respond::uninvited(answer) } else { answer };
        }
    };
    match run(&connection, &mut exchange, &place, body, upgrade).await {
        Ok(Reached::Reply(answer)) => reply(exchange, &place.route, answer),
        Ok(Reached::Switched(switch)) => tunnel::open(&connection, exchange, &place.route, *switch),
        Err((stop, body)) => {
            let uninvited = waits && body.is_some();
            let answer = respond::stop(exchange, body, &stop, Some(&place.route));
            if uninvited { respond::uninvited(answer) } else { answer }
        }
    }
}

/// Whether the guard reads nothing behind this request before it is answered.
fn holds(request: &Request<Incoming>) -> bool {
    let mut offers = request.headers().get_all(header::UPGRADE).iter();
    offers.any(|offer| hop::asks_for_websocket(offer.as_bytes()))
        || *request.method() == http::Method::CONNECT
}

/// Where a request goes.
pub(crate) struct Place {
    pub(crate) bound: Rc<Bound>,
    pub(crate) lane: Option<Rc<Lane>>,
    pub(crate) route: Arc<Route>,
    pub(crate) rank: usize,
}

/// What became of a request that was sent.
enum Reached {
    Reply(Answer),
    Switched(Box<tunnel::Switch>),
}

type Stopped = (Stop, Option<Incoming>);

async fn run(
    connection: &Rc<Connection>,
    exchange: &mut Exchange,
    place: &Place,
    body: Incoming,
    upgrade: Option<hyper::upgrade::OnUpgrade>,
) -> Result<Reached, Stopped> {
    let has_calls = !place.bound.snapshot.dependencies.is_empty() || place.bound.snapshot.pass.is_some();
    outgoing::bind(connection, exchange, place.route.timeouts.total, has_calls);
    if exchange.total_at <= exchange.started {
        let late = Failure::unsent(Outcome::HttpResponseTimeout, "the deadline had passed when it came");
        return Err((Stop::Failed(late), Some(body)));
    }
    if let Err(rejected) = gates(connection, exchange, place).await {
        return Err((rejected, Some(body)));
    }
    let Some(lane) = &place.lane else {
        let failure =
            Failure::unsent(Outcome::DestinationUnavailable, "no app is configured; set `inbound.app`");
        return Err((Stop::Failed(failure), Some(body)));
    };
    let queue_at = match admit(exchange, place).await {
        Ok(queue_at) => queue_at,
        Err(turned) => return Err((turned, Some(body))),
    };
    if let Err(refusal) = outgoing::prepare(connection, exchange, &lane.cluster) {
        return Err((Stop::Refused(refusal), Some(body)));
    }
    let plan = forward::Plan { place, lane, queue_at, upgrade: upgrade.is_some() };
    let progress = (!body.is_end_stream()).then(|| Rc::new(Progress::default()));
    if progress.is_none() {
        outgoing::say_that_nothing_comes(&mut exchange.request);
    }
    let body = match &progress {
        Some(progress) => RequestBody::streaming(body, progress, exchange.worker.clock),
        None => RequestBody::Empty,
    };
    let sent = forward::send(exchange, &plan, body, progress.as_deref()).await;
    if let Some(progress) = &progress {
        exchange.record.bytes_in = progress.bytes.get();
    }
    let answer = sent.map_err(|stop| (malformed_body(connection, stop), None))?;
    match upgrade {
        Some(client) if exchange.response.status() == http::StatusCode::SWITCHING_PROTOCOLS => {
            Ok(Reached::Switched(Box::new(tunnel::Switch { client, answer })))
        }
        None if exchange.response.status().is_informational() => {
            let failure =
                Failure::sent(Outcome::HttpProtocolError, "the upstream switched protocols unasked");
            Err((Stop::Failed(failure), None))
        }
        _ => Ok(Reached::Reply(answer)),
    }
}

/// A client that broke off because we found its body malformed gets told so.
fn malformed_body(connection: &Connection, stop: Stop) -> Stop {
    match (connection.signals.trouble(), &stop) {
        (Some(trouble), Stop::Failed(failure)) if failure.outcome == Outcome::ClientCancelled => {
            Stop::Refused(Refusal::Trouble(trouble))
        }
        _ => stop,
    }
}

/// Asks whether the upstream is worth a call, and for leave to make it, which may take a while. Until when it may wait
/// for a connection as well.
async fn admit(exchange: &mut Exchange, place: &Place) -> Result<Option<Nanos>, Stop> {
    if place.route.breaker.is_none() && place.bound.line.is_none() {
        return Ok(None);
    }
    let waited = exchange.record.timings.queue > 0;
    let now = if waited { exchange.worker.now() } else { exchange.started };
    if let Some(fuse) = &place.route.breaker {
        fuse.breaker.peek(now).map_err(|rejection| Stop::Turned(rejection, Arc::clone(&fuse.name)))?;
    }
    let Some(line) = &place.bound.line else { return Ok(None) };
    let worker = &exchange.worker;
    match line.enter(|| worker.timer(), now, exchange.total_at).await {
        Ok(entered) => {
            if entered.waited {
                let queued = exchange::micros(now, exchange.worker.now());
                exchange.record.timings.queue = exchange.record.timings.queue.saturating_add(queued);
            }
            exchange.call = Some(entered.place);
            Ok(Some(now.after(line.queue_timeout())))
        }
        Err(full) => Err(Stop::Turned(full.rejection(), Arc::clone(&place.bound.side().name))),
    }
}

/// Asks the gates, and waits if one paces the request.
async fn gates(connection: &Connection, exchange: &mut Exchange, place: &Place) -> Result<(), Stop> {
    let route = &place.route;
    if route.gates.is_empty() && route.upstream_gates.is_empty() {
        return Ok(());
    }
    let not_before = ask(connection, exchange, place)?;
    if not_before > exchange.started {
        let now = exchange.worker.now();
        Box::pin(async { exchange.worker.timer().until(not_before).await }).await;
        exchange.record.timings.queue = exchange::micros(now, exchange.worker.now());
    }
    Ok(())
}

/// Asks the gates of the route, then those of its dependency, and holds what they admitted.
fn ask(connection: &Connection, exchange: &mut Exchange, place: &Place) -> Result<Nanos, Stop> {
    let (own, upstream) = (&place.route.gates, &place.route.upstream_gates);
    let behind = u16::try_from(own.rules().len()).unwrap_or(u16::MAX);
    let (first, second) = match verdicts(connection, exchange, place) {
        Ok(admitted) => admitted,
        Err((rejection, Gate::Own)) => return Err(reject(exchange, rejection, (own, 0))),
        Err((rejection, Gate::Upstream)) => return Err(reject(exchange, rejection, (upstream, behind))),
    };
    let not_before = first.not_before().max(second.not_before());
    exchange.hold(own, 0, first);
    exchange.hold(upstream, behind, second);
    Ok(not_before)
}

/// Whose gates refused.
enum Gate {
    Own,
    Upstream,
}

/// What the gates say. What the second would refuse, the first is not charged for.
fn verdicts(
    connection: &Connection,
    exchange: &Exchange,
    place: &Place,
) -> Result<(Admitted, Admitted), (Rejection, Gate)> {
    let (request, now) = (&exchange.request, exchange.started);
    let path = request.uri().path();
    let params = match place.route.has_params {
        true => place.bound.side().router.path_params(place.rank, path),
        false => Vec::new(),
    };
    let view = RequestView {
        method: request.method(),
        path,
        query: request.uri().query(),
        headers: request.headers(),
        client_ip: exchange.client,
        spiffe_id: connection.spiffe_id.as_deref(),
        route: &place.route.name,
        path_params: &params,
        worker: exchange.worker.telemetry.index(),
    };
    let (own, upstream) = (&place.route.gates, &place.route.upstream_gates);
    if !own.is_empty() && !upstream.is_empty() {
        upstream.peek(&view, now).map_err(|rejection| (rejection, Gate::Upstream))?;
    }
    let first = own.admit(&view, now).map_err(|rejection| (rejection, Gate::Own))?;
    let second = upstream.admit(&view, now).map_err(|rejection| (rejection, Gate::Upstream))?;
    Ok((first, second))
}

fn reject(exchange: &mut Exchange, rejection: Rejection, (gates, first): (&Arc<Chain>, u16)) -> Stop {
    exchange.record.rule = rejection.rule.0.saturating_add(first).saturating_add(1);
    Stop::Rejected(rejection, Arc::clone(gates))
}

/// Passes the answer on.
fn reply(mut exchange: Box<Exchange>, route: &Route, answer: Answer) -> Response<ReplyBody> {
    let Answer { mut lease, outcome, awaits_grpc_status } = answer;
    let (mut parts, ()) = std::mem::take(&mut exchange.response).into_parts();
    let now = exchange.answered_at;
    exchange.answered(parts.status.as_u16(), true, now);
    hop::strip_response(&mut parts.headers, false);
    lease.recycle(std::mem::take(exchange.request.headers_mut()));
    outgoing::decorate(&exchange, &mut parts.headers, parts.version);
    parts.version = http::Version::HTTP_11;
    if lease.is_end_stream() {
        exchange.finish(outcome, now);
        lease.finish(now);
        return Response::from_parts(parts, ReplyBody::Empty);
    }
    let limits = limits(&exchange, route, &parts.headers);
    let (is_h2, worker) = (exchange.record.proto == Proto::H2, Rc::clone(&exchange.worker));
    let outflow = Outflow::new(lease, exchange, (limits, outcome, awaits_grpc_status), now);
    let body = if is_h2 { ReplyBody::Parked(worker.park(outflow)) } else { ReplyBody::Upstream(outflow) };
    Response::from_parts(parts, body)
}

/// Streams may last; everything else ends within the total time.
fn limits(exchange: &Exchange, route: &Route, headers: &http::HeaderMap) -> Limits {
    let kind = headers.get(header::CONTENT_TYPE);
    let is_stream =
        is_grpc(kind) || kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if is_stream {
        return Limits { total_at: exchange.deadline, idle: route.timeouts.stream_idle };
    }
    Limits { total_at: Some(exchange.total_at), idle: route.timeouts.body_idle }
}

pub(crate) fn is_grpc(content_type: Option<&HeaderValue>) -> bool {
    content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The part of a request that routes are chosen by.
pub(crate) fn routing<'a>(request: &'a Request<()>, host: &'a str) -> Target<'a> {
    let uri = request.uri();
    Target {
        method: request.method(),
        host,
        path: uri.path(),
        query: uri.query(),
        headers: request.headers(),
    }
}
