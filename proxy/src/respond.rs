//! From a refusal, rejection or failure to the answer a client gets. The only such table.
//!
//! Every answer of ours carries `Proxy-Status` (RFC 9209), a problem body (RFC 9457), `outrigger-sent` and the
//! request's ids; 429 and 503 carry `Retry-After`. gRPC callers get a trailers-only response instead.

mod refusal;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use outrigger_filters::filter::{Quota, Rejection};
use outrigger_filters::outcome::Outcome;
use outrigger_filters::rate_limits::headers as rate_headers;
use serde_json::json;

use crate::failure::Failure;
use crate::pipeline::Stop;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::inflow::drain;
use crate::pipeline::outflow::ReplyBody;
use crate::server::signals::Trouble;
use crate::snapshot::Route;

pub(crate) use refusal::Refusal;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
pub(crate) const SENT: HeaderName = HeaderName::from_static("outrigger-sent");
pub(crate) const NO_RETRY: HeaderName = HeaderName::from_static("outrigger-no-retry");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What an answer of ours says.
struct Verdict {
    status: u16,
    outcome: Outcome,
    /// Token of RFC 9209.
    error: &'static str,
    /// `urn:outrigger:problem:<name>`.
    problem: &'static str,
    title: &'static str,
    detail: String,
    stage: &'static str,
    name: String,
    reason: &'static str,
    sent: bool,
    close: bool,
    retry_after: Option<std::time::Duration>,
    quota: Option<(String, Quota)>,
}

/// Ends an exchange that gets no answer from upstream. `unread` is the request's body, if nobody has it.
pub(crate) fn stop(
    mut exchange: Box<Exchange>,
    unread: Option<Incoming>,
    stop: &Stop,
    route: Option<&Route>,
) -> Response<ReplyBody> {
    let verdict = match stop {
        Stop::Refused(refusal) => Verdict::of_refusal(*refusal),
        Stop::Rejected(rejection, gates) => {
            let name = gates.rule(rejection.rule).map_or("", outrigger_filters::chain::Rule::name);
            Verdict::of_rejection(rejection, name)
        }
        Stop::Turned(rejection, name) => Verdict::of_rejection(rejection, name),
        Stop::Failed(failure) => Verdict::of_failure(failure, route),
    };
    if let Some(unread) = unread {
        drain(unread);
    }
    exchange.detail = match stop {
        Stop::Failed(failure) => failure.detail,
        _ => verdict.reason,
    };
    count_malformed(&exchange, stop, &verdict);
    let response = verdict.render(&exchange);
    let now = exchange.worker.now();
    exchange.answered(response.status().as_u16(), false, now);
    exchange.record.bytes_out = http_body::Body::size_hint(response.body()).exact().unwrap_or(0);
    exchange.finish(verdict.outcome, now);
    response
}

/// A refusal to a client that waits to be asked for its body. It may send the body or not, and where its next
/// request would begin nobody could tell: the connection ends (RFC 9110 §10.1.1).
pub(crate) fn uninvited(mut answer: Response<ReplyBody>) -> Response<ReplyBody> {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// The answer to a request of our own.
pub(crate) fn self_answer() -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Empty);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a request that made us panic.
pub(crate) fn panicked() -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Empty);
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let status = HeaderValue::from_static("outrigger;error=proxy_internal_error;details=\"proxy::panic\"");
    response.headers_mut().insert(PROXY_STATUS, status);
    response
}

fn count_malformed(exchange: &Exchange, stop: &Stop, verdict: &Verdict) {
    if matches!(
        stop,
        Stop::Refused(Refusal::Trouble(_) | Refusal::Path(_) | Refusal::Host | Refusal::Fields(_))
    ) {
        exchange.worker.shared.resources.telemetry.process().malformed.bump(verdict.reason);
    }
}

/// Sets `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
pub(crate) fn quota_headers(headers: &mut HeaderMap, name: &str, quota: &Quota) {
    for (field, value) in [
        (RATE_LIMIT_POLICY, rate_headers::rate_limit_policy(name, quota)),
        (RATE_LIMIT, rate_headers::rate_limit(name, quota)),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(field, value);
        }
    }
}

impl Verdict {
    fn of_refusal(refusal: Refusal) -> Self {
        let (status, reason) = (refusal.status(), refusal.reason());
        let close = !matches!(refusal, Refusal::UnknownHost | Refusal::Loop);
        let (outcome, error, problem, title, stage) = match refusal {
            Refusal::Trouble(Trouble::SlowHead) => (
                Outcome::SlowClient,
                "http_request_error",
                "slow-request",
                "The request was too slow",
                "http",
            ),
            Refusal::Method => (
                Outcome::RequestDenied,
                "http_request_denied",
                "connect-refused",
                "CONNECT is refused; TLS to dependencies starts in the sidecar",
                "http",
            ),
            Refusal::UnknownHost => (
                Outcome::RouteNotFound,
                "destination_not_found",
                "unknown-host",
                "No dependency answers to this host",
                "route",
            ),
            Refusal::Loop => (
                Outcome::ProxyLoopDetected,
                "proxy_loop_detected",
                "loop",
                "The request goes in circles",
                "http",
            ),
            _ => (
                Outcome::BadRequest,
                "http_request_error",
                "malformed-request",
                "The request is malformed or ambiguous",
                "http",
            ),
        };
        Self {
            status,
            outcome,
            error,
            problem,
            title,
            detail: reason.to_owned(),
            stage,
            name: String::new(),
            reason,
            sent: false,
            close,
            retry_after: None,
            quota: None,
        }
    }

    fn of_rejection(rejection: &Rejection, name: &str) -> Self {
        let name = name.to_owned();
        let (problem, title) = match rejection.outcome {
            Outcome::RateLimited => ("rate-limited", "Too many requests"),
            Outcome::DestinationUnavailable => ("circuit-open", "The dependency fails and is not called"),
            Outcome::ConnectionLimitReached => ("isolation-full", "The dependency has all it may take"),
            _ => ("rejected", "The request was refused by policy"),
        };
        Self {
            status: rejection.status,
            outcome: rejection.outcome,
            error: rejection.error,
            problem,
            title,
            detail: format!("{} of `{name}`: {}", rejection.filter, rejection.reason),
            stage: rejection.filter,
            quota: rejection.quota.map(|quota| (name.clone(), quota)),
            name,
            reason: rejection.reason,
            sent: false,
            close: false,
            retry_after: Some(rejection.retry_after),
        }
    }

    fn of_failure(failure: &Failure, route: Option<&Route>) -> Self {
        let (status, error) = match failure.outcome {
            Outcome::DnsError => (502, "dns_error"),
            Outcome::DnsTimeout => (504, "dns_timeout"),
            Outcome::DestinationUnavailable => (503, "destination_unavailable"),
            Outcome::ConnectionRefused => (502, "connection_refused"),
            Outcome::ConnectionTimeout => (504, "connection_timeout"),
            Outcome::ConnectionReadTimeout => (504, "connection_read_timeout"),
            Outcome::ConnectionWriteTimeout => (504, "connection_write_timeout"),
            Outcome::ConnectionLimitReached => (503, "connection_limit_reached"),
            Outcome::TlsCertificateError => (502, "tls_certificate_error"),
            Outcome::TlsProtocolError => (502, "tls_protocol_error"),
            Outcome::TlsAlertReceived => (502, "tls_alert_received"),
            Outcome::HttpResponseTimeout => (504, "http_response_timeout"),
            Outcome::HttpProtocolError => (502, "http_protocol_error"),
            Outcome::HttpUpgradeFailed => (502, "http_upgrade_failed"),
            Outcome::SlowClient => (408, "http_request_error"),
            Outcome::ClientCancelled => (400, "http_request_error"),
            Outcome::ProxyInternalError => (500, "proxy_internal_error"),
            _ => (502, "connection_terminated"),
        };
        let retry_after = (status == 503).then_some(std::time::Duration::from_secs(1));
        Self {
            status,
            outcome: failure.outcome,
            error,
            problem: failure.outcome.label(),
            title: "The request could not be completed",
            detail: failure.detail.to_owned(),
            stage: "upstream",
            name: route.map_or_else(String::new, |route| route.name.to_string()),
            reason: failure.outcome.label(),
            sent: failure.sent,
            close: matches!(failure.outcome, Outcome::SlowClient),
            retry_after,
            quota: None,
        }
    }

    fn render(&self, exchange: &Exchange) -> Response<ReplyBody> {
        let mut headers = HeaderMap::with_capacity(12);
        let status_line = format!(
            "outrigger;error={};details=\"{}:{}:{}\"",
            self.error,
            self.stage,
            self.name,
            self.reason.replace(['"', '\\'], "")
        );
        put(&mut headers, PROXY_STATUS, &status_line);
        let sent = self.sent || exchange.sent;
        headers.insert(SENT, HeaderValue::from_static(if sent { "1" } else { "0" }));
        if exchange.no_retry {
            headers.insert(NO_RETRY, HeaderValue::from_static("1"));
        }
        headers.insert(REQUEST_ID, exchange.request_id.to_value());
        if let Some((name, quota)) = &self.quota {
            quota_headers(&mut headers, name, quota);
        }
        let jitter = (exchange.worker.random.borrow_mut().next_u64() >> 32) as u32;
        let retry_after = self.retry_after.map(|wait| rate_headers::retry_after_seconds(wait, jitter));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if exchange.is_grpc {
            return self.grpc(headers, retry_after);
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == 405 {
            headers.insert(
                header::ALLOW,
                HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"),
            );
        }
        headers.insert(header::CONTENT_TYPE, PROBLEM);
        let body = json!({
            "type": format!("urn:outrigger:problem:{}", self.problem),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        });
        let mut response = Response::new(ReplyBody::Full(Bytes::from(format!("{body}\n"))));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = headers;
        response
    }

    /// A trailers-only answer (gRPC over HTTP/2, Responses): the status stands in the head.
    fn grpc(&self, mut headers: HeaderMap, retry_after: Option<u64>) -> Response<ReplyBody> {
        let code = match self.status {
            429 => 8,
            400 | 408 => 13,
            404 | 405 => 12,
            504 if self.outcome == Outcome::HttpResponseTimeout => 4,
            500 => 13,
            _ => 14,
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, HeaderValue::from(code));
        put(&mut headers, GRPC_MESSAGE, &format!("{}: {}", self.title, self.detail).replace('%', "%25"));
        match retry_after {
            _ if headers.contains_key(NO_RETRY) => {
                headers.insert(GRPC_PUSHBACK, HeaderValue::from_static("-1"));
            }
            Some(seconds) => {
                drop(headers.insert(GRPC_PUSHBACK, HeaderValue::from(seconds.saturating_mul(1000))))
            }
            None => {}
        }
        let mut response = Response::new(ReplyBody::Empty);
        *response.headers_mut() = headers;
        response
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
