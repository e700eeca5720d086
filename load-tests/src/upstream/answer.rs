//! From the path of a request to the answer it asks for.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::bodies::{Body, chunked, full, repeated};
use super::count::Counts;
use super::link::Link;
use super::switch::{Manner, Switch};
use super::{faults, grpc, query, streams, upgrade};

/// What an answer may use.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) name: HeaderValue,
    pub(crate) counts: Arc<Counts>,
    pub(crate) switch: Arc<Switch>,
    pub(crate) link: Arc<Link>,
}

/// Answers one request.
pub(crate) async fn answer(context: Context, request: Request<Incoming>) -> Response<Body> {
    let mut manner = Manner::Scripted;
    if request.uri().path() != "/count" {
        context.counts.request(request.uri().path());
        manner = context.switch.manner();
    }
    let mut response = match manner {
        Manner::Scripted => route(&context, request).await,
        Manner::Hanging => std::future::pending().await,
        Manner::Failing(status) => text(status, "as switched\n"),
    };
    response.headers_mut().insert("x-upstream", context.name);
    response
}

async fn route(context: &Context, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let script = path.trim_start_matches('/');
    let (first, rest) = script.split_once('/').unwrap_or((script, ""));
    match first {
        "" => ok(repeated(128)),
        "16k" => ok(repeated(16 * 1024)),
        "bytes" => bytes(&request, rest),
        "status" => status(rest),
        "delay" => delay(rest).await,
        "hang" => std::future::pending().await,
        "reset" => faults::reset(context).await,
        "reset-body" => faults::reset_body(context),
        "truncate" => faults::truncate(),
        "slow-body" => streams::slow_body(request.uri()),
        "echo" => streams::echo(request).await,
        "echo-body" => streams::echo_body(request),
        "sink" => streams::sink(request).await,
        "trailers" => streams::trailers(),
        "sse" => streams::sse(request.uri()),
        "early" => early(context, &request),
        "close" => closing(),
        "ws" => upgrade::websocket(request),
        "upgrade" => upgrade::raw(request),
        "grpc.Echo" => grpc::answer(rest, request),
        "count" => json(context.counts.as_json()),
        _ => text(StatusCode::NOT_FOUND, "no such script\n"),
    }
}

/// 200 with a body.
pub(crate) fn ok(body: Body) -> Response<Body> {
    Response::new(body)
}

/// A status with a line of text.
pub(crate) fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    let mut response = Response::new(full(message));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// 200 with JSON.
pub(crate) fn json(document: String) -> Response<Body> {
    let mut response = Response::new(full(document));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn bytes(request: &Request<Incoming>, count: &str) -> Response<Body> {
    match count.parse() {
        Ok(count) if query::number(request.uri(), "chunked", 0) == 1 => ok(chunked(count)),
        Ok(count) => ok(repeated(count)),
        Err(_) => text(StatusCode::BAD_REQUEST, "/bytes/ wants a number\n"),
    }
}

fn status(code: &str) -> Response<Body> {
    let code = code.parse::<u16>().ok().filter(|code| *code >= 200);
    match code.and_then(|code| StatusCode::from_u16(code).ok()) {
        Some(code @ (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)) => {
            let mut response = Response::new(full(""));
            *response.status_mut() = code;
            response
        }
        Some(code) => text(code, "as you asked\n"),
        None => text(StatusCode::BAD_REQUEST, "/status/ wants a status of 200 or more\n"),
    }
}

async fn delay(millis: &str) -> Response<Body> {
    let Ok(millis) = millis.parse() else {
        return text(StatusCode::BAD_REQUEST, "/delay/ wants milliseconds\n");
    };
    tokio::time::sleep(Duration::from_millis(millis)).await;
    text(StatusCode::OK, "here at last\n")
}

/// hyper has no call for a 1xx of the server's own, so this one goes past it: nothing else is being written while
/// the only request of the connection waits for its answer.
fn early(context: &Context, request: &Request<Incoming>) -> Response<Body> {
    let plain = request.version() == hyper::Version::HTTP_11;
    let hint = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
    if plain && context.link.write(hint) {
        return text(StatusCode::OK, "hinted\n");
    }
    text(StatusCode::NOT_IMPLEMENTED, "hints need plain HTTP/1.1 over TCP\n")
}

fn closing() -> Response<Body> {
    let mut response = text(StatusCode::OK, "good-bye\n");
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
