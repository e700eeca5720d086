//! Whom a breaker concerns: dependencies, routes, the app; and that it outlives the policy.

use std::time::Duration;

use tokio::time::sleep;

use super::calls::{
    CLOSED, OPEN, assert_refused, becomes, call, get, one, policy, post, reload, send, state,
};
use super::support::app::app;
use super::support::client::{Body, ask_h2, full, h2, tcp};
use super::support::raw::{Answer, Raw};
use super::support::run::{eventually, run};
use super::support::sidecar::Sidecar;

/// Calls for a path that fails until it is refused, which must be soon.
async fn fail(sidecar: &Sidecar, path: &str) -> Answer {
    for _ in 0..30 {
        let answer = call(sidecar, get(path)).await;
        if answer.status == 503 {
            return answer;
        }
        assert_eq!(answer.status, 500, "{answer:?}");
    }
    panic!("{path} failed thirty times and is still called");
}

#[test]
fn a_route_with_a_breaker_of_its_own_leaves_the_others_alone() {
    run(async {
        let app = app();
        let keys = "circuit_breaker: { min_requests: 5 }
                    routes: [{ name: failing, match: { path_prefix: /status }, circuit_breaker: { min_requests: 5 } }]";
        let sidecar = Sidecar::start(one(app.address(), keys)).await;
        assert_refused(&fail(&sidecar, "/status/500").await, "destination_unavailable", "circuit_breaker:");
        for _ in 0..50 {
            assert_eq!(call(&sidecar, get("/")).await.status, 200);
        }
        let answer = call(&sidecar, get("/status/200")).await;
        assert_refused(&answer, "destination_unavailable", "circuit_breaker:");
    });
}

#[test]
fn routes_without_one_share_that_of_their_dependency_and_no_other() {
    run(async {
        let app = app();
        let keys = "circuit_breaker: { min_requests: 5 }
                    routes: [{ name: failing, match: { path_prefix: /status } }]";
        let both = [("dep", &[app.address()][..], keys), ("other", &[app.address()], keys)];
        let sidecar = Sidecar::start(policy(&both)).await;
        fail(&sidecar, "/status/500").await;
        let answer = call(&sidecar, get("/")).await;
        assert_refused(&answer, "destination_unavailable", "circuit_breaker:dep:");
        let answer = call(&sidecar, "GET / HTTP/1.1\r\nhost: other.test\r\n\r\n").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    });
}

#[test]
fn an_open_breaker_stays_open_when_its_knobs_change() {
    run(async {
        let app = app();
        let with = |knobs: &str| one(app.address(), &format!("circuit_breaker: {{ {knobs} }}"));
        let sidecar = Sidecar::start(with("min_requests: 5, open_for: 20s")).await;
        fail(&sidecar, "/status/500").await;
        let asked = app.requests();
        reload(&sidecar, &with("min_requests: 50, failure_ratio: 90%, open_for: 10s, probes: 1")).await;
        assert_eq!(state(&sidecar).await, OPEN);
        // The client's connection goes on, and a refused body is not taken for the next request.
        let mut raw = Raw::connect(sidecar.outbound).await;
        for _ in 0..3 {
            let answer = raw.ask(post("/sink", b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            assert_refused(&answer, "destination_unavailable", "circuit_breaker:dep:");
            assert_refused(&raw.ask(get("/")).await, "destination_unavailable", "circuit_breaker:dep:");
        }
        assert_eq!(app.requests(), asked);
    });
}

#[test]
fn what_was_counted_before_a_reload_counts_after_it() {
    run(async {
        let app = app();
        let with = |knobs: &str| one(app.address(), &format!("circuit_breaker: {{ window: 1m, {knobs} }}"));
        let sidecar = Sidecar::start(with("min_requests: 100")).await;
        for _ in 0..10 {
            assert_eq!(call(&sidecar, get("/")).await.status, 200);
            assert_eq!(call(&sidecar, get("/status/500")).await.status, 500);
        }
        assert_eq!(state(&sidecar).await, CLOSED);
        reload(&sidecar, &with("min_requests: 20")).await;
        // One more is enough, and would not be enough by itself.
        call(&sidecar, get("/status/500")).await;
        becomes(&sidecar, OPEN).await;
    });
}

fn grpc() -> http::Request<Body> {
    let call = http::Request::post("http://dep.test/grpc.Echo/Unary");
    let call = call.header("content-type", "application/grpc").header("te", "trailers");
    call.body(full(&[0, 0, 0, 0, 2, b'h', b'i'][..])).unwrap()
}

#[test]
fn a_grpc_caller_is_told_in_grpc_and_when_to_come_back() {
    run(async {
        let app = app();
        let keys = "protocol: h2\ncircuit_breaker: { min_requests: 5 }";
        let sidecar = Sidecar::start(one(app.address(), keys)).await;
        let mut client = h2(tcp(sidecar.outbound).await).await;
        let answer = ask_h2(&mut client, grpc()).await;
        assert_eq!(answer.trailers.get("grpc-status").unwrap(), "0", "{answer:?}");
        fail(&sidecar, "/status/500").await;
        let answer = ask_h2(&mut client, grpc()).await;
        assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("14")), "{answer:?}");
        let pushback: i64 = answer.field("grpc-retry-pushback-ms").unwrap().parse().unwrap();
        assert!((1..=8_000).contains(&pushback), "{answer:?}");
        assert_eq!(answer.field("outrigger-sent"), Some("0"));
        assert!(answer.field("proxy-status").unwrap().contains("error=destination_unavailable;"));
        assert!(answer.body.is_empty() && answer.trailers.is_empty(), "trailers only: {answer:?}");
    });
}

#[test]
fn the_app_is_protected_in_the_same_way_route_by_route() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(format!(
            "version: 1
inbound:
  app: http://{}
  defaults:
    circuit_breaker: {{ min_requests: 5 }}
  routes:
    - {{ name: failing, match: {{ path_prefix: /status }} }}
    - {{ name: hung, match: {{ path: /hang }}, timeouts: {{ total: 30s }}, circuit_breaker: {{ slow_threshold: 300ms }} }}
",
            app.address()
        ))
        .await;
        let ask = async |path: &str| Raw::connect(sidecar.inbound).await.get(path).await;
        eventually("a refusal", async || (ask("/status/500").await.status == 503).then_some(())).await;
        let asked = app.requests();
        let answer = ask("/status/200").await;
        assert_refused(&answer, "destination_unavailable", "circuit_breaker:");
        assert_eq!(app.requests(), asked);
        assert_eq!(ask("/").await.status, 200, "another route");
        assert!(app.count("/status/500") <= 20, "{} failures", app.count("/status/500"));

        let mut hung = Vec::new();
        for _ in 0..15 {
            let mut raw = Raw::connect(sidecar.inbound).await;
            raw.send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await;
            hung.push(raw);
        }
        eventually("all hang", async || (app.count("/hang") == 15).then_some(())).await;
        sleep(Duration::from_millis(1_300)).await;
        assert_refused(&ask("/hang").await, "destination_unavailable", "circuit_breaker:");
        assert_eq!(ask("/").await.status, 200);
    });
}

#[test]
fn a_breaker_that_is_disabled_does_nothing() {
    run(async {
        let app = app();
        let keys = "circuit_breaker: { min_requests: 5 }
                    routes: [{ name: asked, match: { path_prefix: /status }, circuit_breaker: { mode: disabled } }]";
        let sidecar = Sidecar::start(one(app.address(), keys)).await;
        for _ in 0..30 {
            assert_eq!(call(&sidecar, get("/status/500")).await.status, 500);
        }
        assert_eq!(app.count("/status/500"), 30);
        let waiting = send(&sidecar, get("/")).await.answer("GET").await;
        assert_eq!(waiting.status, 200);
        assert_eq!(state(&sidecar).await, CLOSED);
    });
}
