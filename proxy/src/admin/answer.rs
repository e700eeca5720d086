//! Responses of the admin server. None may be kept, sniffed or framed.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) fn of(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    answer
}

pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    of(status, "application/json", format!("{value}\n"))
}

/// A refusal (RFC 9457). `name` is the last part of its type.
pub(super) fn problem(status: StatusCode, name: &str, detail: &str) -> Answer {
    let body = json!({
        "type": format!("urn:outrigger:problem:{name}"),
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
    });
    of(status, "application/problem+json", format!("{body}\n"))
}

/// 405, with what would be allowed.
pub(super) fn not_allowed(allow: &'static str) -> Answer {
    let detail = format!("this path takes {allow}");
    let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", &detail);
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    answer
}
