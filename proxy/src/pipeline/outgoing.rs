//! The one clean request that goes upstream, and what is added to answers.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Method, Request, Version, header};

use super::exchange::Exchange;
use crate::hygiene::forwarded::{self, PeerHeaders};
use crate::hygiene::request_id::{RequestId, X_REQUEST_ID};
use crate::hygiene::seen::Field;
use crate::hygiene::trace::{self, TRACEPARENT, TraceContext};
use crate::hygiene::via;
use crate::respond::{Refusal, quota_headers};
use crate::server::connection::Connection;
use crate::upstream::cluster::Cluster;

/// Sidecars of ours a request may have passed; more is a loop.
const MAX_HOPS: usize = 16;

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
    trace_on(connection, exchange);
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
    if let Some((gates, quota)) = &exchange.quota
        && let Some(rule) = gates.rule(quota.rule)
    {
        quota_headers(headers, rule.name(), quota);
    }
}
