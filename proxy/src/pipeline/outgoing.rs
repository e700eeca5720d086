//! The one clean request that goes upstream, and what is added to answers.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Method, Request, Version, header};

use super::exchange::Exchange;
use crate::hygiene::{forwarded, trace, via};
use crate::respond::{Refusal, quota_headers};
use crate::server::connection::Connection;
use crate::upstream::cluster::Cluster;

/// Sidecars of ours a request may have passed; more is a loop.
const MAX_HOPS: usize = 16;

/// Fields set on every request: three about who asked, `Via`, the id, the trace.
const ADDED: usize = 6;

/// Sets what we say about a request on its way: who asked, which request it is, that we were here.
///
/// Hop-by-hop fields are gone already. The target becomes what the upstream connection wants; `Host` stays what
/// the caller sent unless the cluster says otherwise.
pub(super) fn prepare(
    connection: &Rc<Connection>,
    exchange: &mut Exchange,
    cluster: &Cluster,
    request: &mut Request<()>,
) -> Result<(), Refusal> {
    let version = request.version();
    let headers = request.headers_mut();
    // Grown once for all that is added.
    headers.reserve(ADDED);
    if headers.contains_key(header::VIA) && via::own_entries(headers) >= MAX_HOPS {
        return Err(Refusal::Loop);
    }
    let own_host = cluster.host_header.as_ref();
    let told_host = own_host.and(exchange.host.as_ref());
    forwarded::set(headers, &connection.peer_headers, told_host, connection.trusted);
    via::add(headers, version);
    identify(connection, exchange, headers);
    if version == Version::HTTP_2 {
        join_cookies(headers);
    }
    match (own_host, &exchange.host) {
        (Some(host), _) => drop(headers.insert(header::HOST, host.clone())),
        (None, Some(host)) if !headers.contains_key(header::HOST) => {
            headers.insert(header::HOST, host.clone());
        }
        // HTTP/1.1 must have one, an empty one if the target has no authority (RFC 9112 §3.2).
        (None, None) => drop(headers.insert(header::HOST, HeaderValue::from_static(""))),
        _ => {}
    }
    to_origin_form(request);
    *request.version_mut() = Version::HTTP_11;
    Ok(())
}

fn identify(connection: &Connection, exchange: &mut Exchange, headers: &mut HeaderMap) {
    exchange.request_id.set(headers);
    let (_, own) = trace::enter(headers, &mut connection.worker.random.borrow_mut(), |_| false);
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
