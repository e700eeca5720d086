//! Answers with a body that is echoed, timed, counted or followed by trailers.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TRAILER};
use hyper::{Request, Response, StatusCode, Uri};
use serde_json::{Value, json};

use super::answer::{json as json_answer, ok, text};
use super::bodies::{Body, fed, filler};
use super::query::number;

/// `/echo` holds the whole body; more than this is refused.
const ECHO_LIMIT: usize = 1024 * 1024;

/// Chunks with a gap before each but the first.
pub(crate) fn slow_body(uri: &Uri) -> Response<Body> {
    let (chunks, size) = (number(uri, "chunks", 5), number(uri, "size", 1));
    let gap = Duration::from_millis(number(uri, "gap", 100));
    let piece = filler(usize::try_from(size).unwrap_or(usize::MAX));
    ok(timed(gap, (0..chunks).map(move |_| piece.clone())))
}

/// Server-sent events.
pub(crate) fn sse(uri: &Uri) -> Response<Body> {
    let events = number(uri, "events", 3);
    let gap = Duration::from_millis(number(uri, "gap", 0));
    let body = timed(gap, (0..events).map(|n| Bytes::from(format!("id: {n}\ndata: tick\n\n"))));
    let mut response = ok(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// A body with trailers.
pub(crate) fn trailers() -> Response<Body> {
    let (mut sender, body) = fed();
    tokio::spawn(async move {
        drop(sender.send_data(Bytes::from_static(b"see the trailer\n")).await);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("c0ffee"));
        drop(sender.send_trailers(trailers).await);
    });
    let mut response = ok(body);
    response.headers_mut().insert(TRAILER, HeaderValue::from_static("x-checksum"));
    response
}

/// The request as it arrived.
pub(crate) async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, ECHO_LIMIT).collect().await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "/echo takes 1 MiB; try /echo-body\n");
    };
    let trailers = body.trailers().map(fields);
    let body = body.to_bytes();
    let document = json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "authority": head.uri.authority().map(|authority| authority.as_str()),
        "version": format!("{:?}", head.version),
        "headers": fields(&head.headers),
        "body": String::from_utf8_lossy(&body),
        "body_length": body.len(),
        "trailers": trailers,
    });
    json_answer(document.to_string())
}

/// The body as it arrives, trailers too.
pub(crate) fn echo_body(request: Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let mut response = ok(request.into_body().map_err(Into::into).boxed_unsync());
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

/// Reads the body and says how long it was.
pub(crate) async fn sink(request: Request<Incoming>) -> Response<Body> {
    let mut body = request.into_body();
    let mut length = 0_u64;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => length += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(_) => return text(StatusCode::BAD_REQUEST, "the body broke off\n"),
        }
    }
    json_answer(json!({ "bytes": length }).to_string())
}

/// A body of these pieces, with a gap between two.
fn timed(gap: Duration, pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Body {
    let (mut sender, body) = fed();
    tokio::spawn(async move {
        for (index, piece) in pieces.enumerate() {
            if index > 0 && !gap.is_zero() {
                tokio::time::sleep(gap).await;
            }
            if sender.send_data(piece).await.is_err() {
                return; // the reader left
            }
        }
    });
    body
}

/// Fields in the order they came, repeated ones apart.
fn fields(headers: &HeaderMap) -> Value {
    headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect()
}
