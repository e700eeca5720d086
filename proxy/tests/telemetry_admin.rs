//! The admin server, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::Method;
use outrigger_config::sidecar::{AccessLog, Admin, LogSink};
use outrigger_proxy::admin::{self, AdminView, Bound, Readiness};
use outrigger_proxy::cli::client::{Address, Client, Error};
use outrigger_proxy::telemetry::{Detail, Direction, Format, Outcome, Record, Telemetry, log};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

mod support;

#[derive(Default)]
struct View {
    draining: AtomicBool,
}

impl AdminView for View {
    fn ready(&self) -> Readiness {
        let serving = !self.draining.load(Ordering::SeqCst);
        Readiness { conditions: vec![("policy", true), ("not_draining", serving)] }
    }

    fn policy(&self) -> Value {
        json!({ "generation": 7 })
    }

    fn dependencies(&self) -> Value {
        json!({ "dependencies": [] })
    }

    fn start_drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    fn stop_drain(&self) {
        self.draining.store(false, Ordering::SeqCst);
    }
}

struct Door {
    address: Address,
    view: Arc<View>,
    telemetry: Telemetry,
}

impl Door {
    fn open(at: &Admin) -> Self {
        let bound = Bound::bind(at).unwrap();
        let address = match at {
            Admin::Tcp(_) => Address::Tcp(bound.tcp().unwrap().to_string()),
            Admin::Unix(path) => Address::Unix(path.clone()),
        };
        let off = AccessLog { sink: LogSink::Off, ok_sample_millionths: 0 };
        let telemetry = Telemetry::new(1, "orders", &off).unwrap();
        let view = Arc::new(View::default());
        let door = Self { address, view, telemetry };
        tokio::spawn(admin::serve(bound, door.telemetry.clone(), door.view.clone()));
        door
    }

    fn tcp() -> Self {
        Self::open(&Admin::Tcp("127.0.0.1:0".parse().unwrap()))
    }

    fn client(&self) -> Client {
        Client::new(self.address.clone())
    }

    async fn get(&self, path: &str) -> Bytes {
        self.client().get(path).await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path).await).unwrap()
    }

    async fn status(&self, method: Method, path: &str, body: &str) -> u16 {
        match self.client().send(method, path, Bytes::copy_from_slice(body.as_bytes())).await {
            Ok(_) => 200,
            Err(Error::Refused(status, _)) => status,
            Err(error) => panic!("{error}"),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address.to_string()).await.unwrap()
    }

    /// Sends bytes as they are, and reads until the server closes.
    async fn raw(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test]
async fn shows_what_it_is_asked_for() {
    let door = Door::tcp();
    assert_eq!(door.get("/healthz").await, "ok\n");
    assert_eq!(door.json("/readyz").await["ready"], true);
    assert_eq!(door.json("/policy").await["generation"], 7);
    assert_eq!(door.json("/dependencies").await, json!({ "dependencies": [] }));
    assert!(door.get("/").await.starts_with(b"<!doctype html>"));
    let metrics = door.get("/metrics").await;
    let samples = support::exposition::parse(std::str::from_utf8(&metrics).unwrap(), Format::Text);
    let admin = samples.iter().find(|s| s.name == "outrigger_connections" && s.label("listener") == "admin");
    assert!(admin.unwrap().value >= 1.0);
}

#[tokio::test]
async fn gives_openmetrics_to_those_who_ask() {
    let door = Door::tcp();
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                   accept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    let answer = door.raw(request).await;
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(answer.ends_with("# EOF\n"));
}

#[tokio::test]
async fn lists_the_newest_requests_first_under_the_names_of_the_log() {
    let door = Door::tcp();
    let worker = door.telemetry.worker().unwrap();
    let series = door.telemetry.route(Direction::Inbound, "create-order", "", ["rate_limits:global"]);
    for at in [1_000, 2_000, 3_000] {
        let outcome = Outcome::RateLimited;
        worker.begin(Direction::Inbound);
        let record = Record { status: 429, outcome, rule: 1, ..series.record(at, 7) };
        worker.finish(&record, &Detail { request_id: b"id-1", ..Detail::default() });
    }
    let decisions = door.json("/decisions?limit=2").await;
    assert_eq!(decisions.as_array().unwrap().len(), 2);
    let newest = &decisions[0];
    assert_eq!(newest["ts"], "1970-01-01T00:00:03.000Z");
    let expected = json!(["inbound", "create-order", 429, "rate_limited", "proxy", "policy", "id-1", "RL"]);
    let found = ["dir", "route", "status", "outcome", "origin", "domain", "request_id", "flags"];
    assert_eq!(Value::from_iter(found.map(|key| newest[key].clone())), expected);
    assert_eq!(newest["rule"], "rate_limits:global");
    assert_eq!(door.status(Method::GET, "/decisions?limit=x", "").await, 400);
}

#[tokio::test]
async fn a_drain_is_begun_and_ended_by_its_methods_only() {
    let door = Door::tcp();
    assert_eq!(door.status(Method::GET, "/drain", "").await, 405);
    assert_eq!(door.status(Method::GET, "/readyz", "").await, 200);
    assert_eq!(door.status(Method::POST, "/drain", "").await, 200);
    assert_eq!(door.status(Method::GET, "/readyz", "").await, 503);
    assert_eq!(door.status(Method::DELETE, "/drain", "").await, 200);
    assert_eq!(door.status(Method::GET, "/readyz", "").await, 200);
}

#[tokio::test]
async fn the_log_level_changes_while_running() {
    let door = Door::tcp();
    assert_eq!(door.status(Method::POST, "/log", r#"{"level":"debug"}"#).await, 200);
    assert_eq!(log::level(), log::Level::Debug);
    assert_eq!(door.status(Method::POST, "/log?level=info", "").await, 200);
    assert_eq!(log::level(), log::Level::Info);
    assert_eq!(door.status(Method::POST, "/log", r#"{"level":"loud"}"#).await, 400);
    assert_eq!(door.status(Method::POST, "/log", "nonsense").await, 400);
    assert_eq!(door.status(Method::POST, "/log", &"x".repeat(70_000)).await, 413);
    assert_eq!(log::level(), log::Level::Info);
}

#[tokio::test]
async fn says_what_it_does_not_know_and_does_not_take() {
    let door = Door::tcp();
    assert_eq!(door.status(Method::GET, "/nothing", "").await, 404);
    assert_eq!(door.status(Method::POST, "/nothing", "").await, 404);
    let answer = door.raw("POST /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "));
    assert!(answer.contains("allow: GET, HEAD\r\n") && answer.contains("application/problem+json"));
}

#[tokio::test]
async fn a_web_page_cannot_use_it() {
    let door = Door::tcp();
    let rebound = "GET /policy HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert!(door.raw(rebound).await.starts_with("HTTP/1.1 403 "));
    let posted = "POST /drain HTTP/1.1\r\nhost: localhost\r\norigin: http://evil.example\r\n\
                  connection: close\r\ncontent-length: 0\r\n\r\n";
    assert!(door.raw(posted).await.starts_with("HTTP/1.1 403 "));
    assert!(!door.view.draining.load(Ordering::SeqCst));
}

#[tokio::test]
async fn more_connections_than_it_serves_are_closed_at_once() {
    let door = Door::tcp();
    let mut held = Vec::new();
    for _ in 0..admin::MAX_CONNECTIONS {
        let mut stream = door.connect().await;
        // An answer shows that the connection is being served and counted.
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 1_024]).await.unwrap() > 0);
        held.push(stream);
    }
    let mut extra = door.connect().await;
    assert!(matches!(extra.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    assert_eq!(door.telemetry.process().connections_refused.get("admin_limit"), 1);
}

#[tokio::test]
async fn answers_on_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let door = Door::open(&Admin::Unix(dir.path().join("admin.sock")));
    assert_eq!(door.get("/healthz").await, "ok\n");
}

#[tokio::test]
async fn a_missing_sidecar_is_unreachable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(Address::Tcp(free.to_string()));
    assert!(matches!(client.get("/healthz").await, Err(Error::Unreachable(..))));
}
