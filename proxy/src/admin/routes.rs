//! What each path answers.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::Door;
use super::answer::{self, Answer};
use crate::telemetry::{Format, log};

const MAX_BODY: usize = 64 * 1_024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Records that `/decisions` gives if not told how many.
const DECISIONS: usize = 100;

const INDEX: &str = "<!doctype html><html lang=\"en\"><title>outrigger admin</title><h1>outrigger</h1><ul>\
<li><a href=\"/healthz\">/healthz</a> alive\
<li><a href=\"/readyz\">/readyz</a> ready, and why not\
<li><a href=\"/metrics\">/metrics</a> Prometheus text or OpenMetrics\
<li><a href=\"/policy\">/policy</a> the policy in force\
<li><a href=\"/dependencies\">/dependencies</a> breakers, limits, endpoints\
<li><a href=\"/decisions\">/decisions</a> the newest requests; ?limit=1000\
<li>POST /drain begins a drain, DELETE /drain ends it\
<li>POST /log?level=debug sets the log level</ul></html>\n";

/// Answers one request; never fails.
pub(super) async fn answer(door: &Door, request: Request<Incoming>) -> Result<Answer, Infallible> {
    if let Some(why) = door.hosts.refuse(request.method(), request.uri(), request.headers()) {
        return Ok(answer::problem(StatusCode::FORBIDDEN, "forbidden", why));
    }
    Ok(match (request.uri().path(), request.method()) {
        ("/drain", &Method::POST) => {
            door.view.start_drain();
            log::info("drain begun", &[("by", &"admin")]);
            answer::json(StatusCode::ACCEPTED, &json!({ "draining": true }))
        }
        ("/drain", &Method::DELETE) => {
            door.view.stop_drain();
            log::info("drain ended", &[("by", &"admin")]);
            answer::json(StatusCode::OK, &json!({ "draining": false }))
        }
        ("/drain", _) => answer::not_allowed("POST, DELETE"),
        ("/log", &Method::POST) => set_level(request).await,
        ("/log", _) => answer::not_allowed("POST"),
        (_, &Method::GET | &Method::HEAD) => show(door, &request),
        ("/" | "/healthz" | "/readyz" | "/metrics" | "/policy" | "/dependencies" | "/decisions", _) => {
            answer::not_allowed("GET, HEAD")
        }
        _ => not_found(),
    })
}

/// What can be looked at. Changes nothing.
fn show(door: &Door, request: &Request<Incoming>) -> Answer {
    match request.uri().path() {
        "/" => answer::of(StatusCode::OK, "text/html; charset=utf-8", INDEX),
        "/healthz" => answer::of(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"),
        "/readyz" => ready(door),
        "/metrics" => {
            let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            let format = Format::negotiate(accept);
            answer::of(StatusCode::OK, format.content_type(), door.telemetry.scrape(format))
        }
        "/policy" => answer::json(StatusCode::OK, &door.view.policy()),
        "/dependencies" => answer::json(StatusCode::OK, &door.view.dependencies()),
        "/decisions" => match parameter(request.uri().query(), "limit").map(str::parse::<usize>) {
            None => decisions(door, DECISIONS),
            Some(Ok(limit)) => decisions(door, limit),
            Some(Err(_)) => bad_request("limit is a number"),
        },
        _ => not_found(),
    }
}

fn not_found() -> Answer {
    answer::problem(StatusCode::NOT_FOUND, "not-found", "no such path; GET / lists them")
}

fn bad_request(detail: &str) -> Answer {
    answer::problem(StatusCode::BAD_REQUEST, "bad-request", detail)
}

fn ready(door: &Door) -> Answer {
    let readiness = door.view.ready();
    let ready = readiness.is_ready();
    let conditions: Map<String, Value> =
        readiness.conditions.iter().map(|(name, holds)| ((*name).to_owned(), Value::Bool(*holds))).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json(status, &json!({ "ready": ready, "conditions": conditions }))
}

fn decisions(door: &Door, limit: usize) -> Answer {
    answer::of(StatusCode::OK, "application/json", door.telemetry.decisions(limit))
}

/// Takes the level from the query, else from a JSON body.
async fn set_level(request: Request<Incoming>) -> Answer {
    let level = match parameter(request.uri().query(), "level") {
        Some(level) => level.to_owned(),
        None => match body(request).await {
            Ok(body) => match serde_json::from_slice::<Value>(&body) {
                Ok(value) => value.get("level").and_then(Value::as_str).unwrap_or_default().to_owned(),
                Err(_) => return bad_request("send {\"level\":\"debug\"} or ?level=debug"),
            },
            Err(refusal) => return refusal,
        },
    };
    match level.parse::<log::Level>() {
        Ok(level) => {
            log::set_level(level);
            answer::json(StatusCode::OK, &json!({ "level": level.label() }))
        }
        Err(unknown) => bad_request(&unknown.to_string()),
    }
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Answer> {
    let reading = Limited::new(request.into_body(), MAX_BODY).collect();
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(answer::problem(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "at most 64 KiB"))
        }
        Ok(Err(_)) => Err(bad_request("the body could not be read")),
        Err(_) => Err(answer::problem(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body took too long")),
    }
}

/// The first value of a query parameter. None of ours needs percent-decoding.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?
        .split('&')
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value)
}
