//! The one clean request that goes upstream, and what is added to answers.

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use outrigger_filters::clock::Nanos;

use super::exchange::Exchange;
use super::lineage::Heritage;
use crate::hygiene::forwarded::{self, PeerHeaders};
use crate::hygiene::request_id::{RequestId, X_REQUEST_ID};
use crate::hygiene::seen::Field;
use crate::hygiene::timeout::{self, X_REQUEST_TIMEOUT_MS};
use crate::hygiene::trace::{self, TRACEPARENT, TraceContext};
use crate::hygiene::via;
use crate::respond::{NO_RETRY, Refusal, SENT, quota_headers};
use crate::server::connection::Connection;
use crate::telemetry::Direction;
use crate::upstream::cluster::Cluster;

/// Sidecars of ours a request may have passed; more is a loop.
const MAX_HOPS: usize = 16;

const ATTEMPT: &str = "outrigger-attempt";
const GRPC_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// What every request of a client connection says about the client, in both forms it is needed in.
pub(crate) struct Introduction {
    headers: PeerHeaders,
    fields: HeaderMap,
    text: Vec<u8>,
}

impl Introduction {
    pub(crate) fn new(headers: PeerHeaders, version: Version) -> Rc<Self> {
        let mut fields = HeaderMap::new();
        forwarded::set(&mut fields, &headers, None, false);
        via::add(&mut fields, version);
        let mut text = Vec::new();
        for (name, value) in &fields {
            write_field(&mut text, name.as_str(), value.as_bytes());
        }
        Rc::new(Self { headers, fields, text })
    }
}

/// Fields a request leaves with that never were in its map: setting them there and reading them again would cost
/// more than all else that is done about them.
#[derive(Default)]
pub(crate) struct Added {
    /// None if the request's own fields say it, with what a trusted peer said before.
    introduction: Option<Rc<Introduction>>,
    trace: Option<TraceContext>,
    /// Tries that came before this one.
    pub(super) previous: u32,
    /// How long the next hop has, where that is bounded.
    pub(super) left: Option<Duration>,
}

impl Exchange {
    /// Writes the added fields as text.
    pub(crate) fn write_added(&self, out: &mut Vec<u8>) {
        if let Some(introduction) = &self.added.introduction {
            out.extend_from_slice(&introduction.text);
        }
        if let RequestId::Made(id) = &self.request_id {
            write_field(out, X_REQUEST_ID.as_str(), id);
        }
        if let Some(trace) = self.added.trace {
            write_field(out, TRACEPARENT.as_str(), &trace.to_text());
        }
        if let Some(left) = self.added.left {
            write_text(out, X_REQUEST_TIMEOUT_MS, |out| timeout::write_millis(out, left));
            if self.is_grpc {
                write_text(out, GRPC_TIMEOUT, |out| timeout::write_grpc(out, left));
            }
        }
        if self.added.previous == 0 {
            return;
        }
        for (name, previous) in self.previous() {
            write_field(out, name, previous.to_string().as_bytes());
        }
    }

    /// Sets the added fields in `headers`.
    pub(crate) fn insert_added(&self, headers: &mut HeaderMap) {
        if let Some(introduction) = &self.added.introduction {
            headers.extend(introduction.fields.clone());
        }
        self.request_id.set(headers);
        if let Some(Ok(trace)) = self.added.trace.map(|trace| HeaderValue::from_bytes(&trace.to_text())) {
            headers.insert(&TRACEPARENT, trace);
        }
        if let Some(left) = self.added.left {
            insert_text(headers, X_REQUEST_TIMEOUT_MS, |out| timeout::write_millis(out, left));
            if self.is_grpc {
                insert_text(headers, GRPC_TIMEOUT, |out| timeout::write_grpc(out, left));
            }
        }
        for (name, previous) in self.previous() {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(previous));
        }
    }

    /// What a retry says about itself, so that no layer behind us retries it as well.
    fn previous(&self) -> impl Iterator<Item = (&'static str, u32)> + use<> {
        let names = [Some(ATTEMPT), self.is_grpc.then_some(GRPC_ATTEMPTS)];
        let previous = self.added.previous;
        names.into_iter().flatten().filter(move |_| previous > 0).map(move |name| (name, previous))
    }

    /// Says how long the next hop has for a try that ends by `try_at`. What may stream for ever is only told if
    /// its caller set a deadline.
    pub(super) fn tell_time_left(&mut self, now: Nanos, try_at: Nanos, upgrade: bool) {
        let bounded = self.deadline.is_some() || !(self.is_grpc || upgrade);
        self.added.left = bounded.then(|| timeout::reduced(try_at.since(now)));
    }
}

/// Whether a request says that it is somebody's retry.
fn is_retry(exchange: &Exchange) -> bool {
    let headers = exchange.request.headers();
    let count = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok();
    exchange.seen.has(Field::Attempt) && [ATTEMPT, GRPC_ATTEMPTS].into_iter().filter_map(count).any(|n| n > 0)
}

/// Finds out how long there is for a request and who it is for, by what it says and by its trace. Of a request to the
/// app, the app's calls inherit that, where the policy has any.
pub(super) fn bind(connection: &Connection, exchange: &mut Exchange, total: Duration, has_calls: bool) {
    trace_on(connection, exchange);
    if exchange.seen.has(Field::Timeout) {
        let headers = exchange.request.headers_mut();
        exchange.deadline = timeout::asked(headers).map(|asked| exchange.started.after(asked));
        timeout::strip(headers);
    }
    exchange.is_retry = is_retry(exchange);
    if exchange.seen.has(Field::Attempt) && !exchange.is_retry {
        // It counts none, or nonsense; a retry of ours says so itself.
        for name in [ATTEMPT, GRPC_ATTEMPTS] {
            exchange.request.headers_mut().remove(name);
        }
    }
    let lineage = &connection.worker.shared.lineage;
    let (trace, is_call) = (exchange.record.trace_id, connection.direction() == Direction::Outbound);
    if is_call
        && exchange.seen.has(Field::Trace)
        && let Some(heritage) = lineage.of(trace)
    {
        exchange.deadline =
            Some(exchange.deadline.map_or(heritage.deadline, |own| own.min(heritage.deadline)));
        exchange.is_retry |= heritage.is_retry;
    }
    let total_at = exchange.started.after(total);
    exchange.total_at = exchange.deadline.map_or(total_at, |deadline| deadline.min(total_at));
    if !is_call && has_calls {
        let heritage = Heritage { deadline: exchange.total_at, is_retry: exchange.is_retry };
        exchange.ancestor = lineage.note(trace, heritage);
    }
}

fn write_text(out: &mut Vec<u8>, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    value(out);
    out.extend_from_slice(b"\r\n");
}

fn insert_text(headers: &mut HeaderMap, name: &'static str, value: impl FnOnce(&mut Vec<u8>)) {
    let mut text = Vec::new();
    value(&mut text);
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Sets what we say about a request on its way: who asked, which request it is, that we were here.
///
/// Hop-by-hop fields are gone already. The target becomes what the upstream connection wants; `Host` stays what
/// the caller sent unless the cluster says otherwise.
pub(super) fn prepare(
    connection: &Rc<Connection>,
    exchange: &mut Exchange,
    cluster: &Cluster,
) -> Result<(), Refusal> {
    let (seen, version) = (exchange.seen, exchange.request.version());
    let headers = exchange.request.headers_mut();
    if seen.has(Field::Via) && via::own_entries(headers) >= MAX_HOPS {
        return Err(Refusal::Loop);
    }
    let own_host = cluster.host_header.as_ref();
    let told_host = own_host.and(exchange.host.as_ref());
    let continues = seen.has(Field::Via) || (connection.trusted && seen.has(Field::Forwarded));
    if !continues && told_host.is_none() && version != Version::HTTP_10 {
        exchange.added.introduction = Some(Rc::clone(&connection.introduction));
    } else {
        forwarded::set(headers, &connection.introduction.headers, told_host, connection.trusted);
        via::add(headers, version);
    }
    if version == Version::HTTP_2 {
        join_cookies(headers);
    }
    if seen.has(Field::RequestId) && matches!(exchange.request_id, RequestId::Made(_)) {
        headers.remove(&X_REQUEST_ID);
    }
    match (own_host, &exchange.host) {
        (Some(host), _) => drop(headers.insert(header::HOST, host.clone())),
        (None, Some(host)) if !seen.has(Field::Host) => drop(headers.insert(header::HOST, host.clone())),
        // HTTP/1.1 must have one, an empty one if the target has no authority (RFC 9112 §3.2).
        (None, None) => drop(headers.insert(header::HOST, HeaderValue::from_static(""))),
        _ => {}
    }
    to_origin_form(&mut exchange.request);
    *exchange.request.version_mut() = Version::HTTP_11;
    Ok(())
}

fn trace_on(connection: &Connection, exchange: &mut Exchange) {
    let random = &mut connection.worker.random.borrow_mut();
    let own = match exchange.seen.has(Field::Trace) {
        true => trace::enter(exchange.request.headers_mut(), random, |_| false).1,
        false => trace::root(random, |_| false),
    };
    exchange.added.trace = Some(own);
    exchange.record.trace_id = own.trace_id;
    exchange.record.span_id = u64::from_be_bytes(own.span_id);
}

/// HTTP/2 may cut the cookie into crumbs; HTTP/1.1 has one field (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(_)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in headers.get_all(header::COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, joined);
    }
}

/// A request whose method has a body, without one, says so: HTTP/2 and terse clients need not, but an HTTP/1.1
/// server may want a length (RFC 9110 §8.6) and answers 411.
pub(super) fn say_that_nothing_comes(request: &mut Request<()>) {
    if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
        request.headers_mut().entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
    }
}

fn to_origin_form(request: &mut Request<()>) {
    if request.uri().scheme().is_none() && request.uri().authority().is_none() {
        return;
    }
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = None;
    parts.authority = None;
    *request.uri_mut() = http::Uri::from_parts(parts).unwrap_or_default();
}

/// Adds what we say to the client about an answer of the upstream.
pub(super) fn decorate(exchange: &Exchange, headers: &mut HeaderMap, version: Version) {
    if exchange.worker.shared.config.via_responses {
        via::add(headers, version);
    }
    // What the next hop says is true of its own try only.
    if exchange.record.attempts > 1 && exchange.sent && headers.contains_key(SENT) {
        headers.insert(SENT, HeaderValue::from_static("1"));
    }
    if exchange.no_retry {
        headers.insert(NO_RETRY, HeaderValue::from_static("1"));
    }
    if let Some((gates, quota)) = &exchange.quota
        && let Some(rule) = gates.rule(quota.rule)
    {
        quota_headers(headers, rule.name(), quota);
    }
}
