//! What counts as evidence against a dependency, and what does not.

use std::time::Duration;

use tokio::time::sleep;

use super::calls::{CLOSED, OPEN, becomes, call, get, metric, one, request, send, state};
use super::scripted::{Act, Scripted};
use super::support::app::app;
use super::support::client::{ask_h2, full, h2, tcp};
use super::support::run::{eventually, run};
use super::support::sidecar::Sidecar;

const RATIO: &str = "circuit_breaker: { min_requests: 10, failure_ratio: 50% }";
const QUICK: &str = "timeouts: { total: 30s }\ncircuit_breaker: { slow_threshold: 300ms, min_requests: 10 }";

async fn none_in_flight(sidecar: &Sidecar) {
    let in_flight = async || metric(sidecar, "outrigger_in_flight", &[]).await.unwrap_or_default();
    eventually("all have left", async || (in_flight().await == 0.0).then_some(())).await;
}

#[test]
fn neither_throttling_nor_what_callers_do_wrong_opens_it() {
    run(async {
        let server = Scripted::start(|seen, _| match seen.path.as_str() {
            "/throttled" => Act::Say(429),
            "/throttled-until" => Act::Add(429, "retry-after", "1"),
            "/overloaded" => Act::Add(503, "retry-after", "1"),
            "/missing" => Act::Say(404),
            _ => Act::Say(501),
        })
        .await;
        let paths = ["/throttled", "/throttled-until", "/overloaded", "/missing", "/not-implemented"];
        for path in paths {
            let sidecar = Sidecar::start(one(server.address(), RATIO)).await;
            for number in 0..30 {
                let answer = call(&sidecar, get(path)).await;
                assert_eq!(answer.field("x-upstream"), Some("scripted"), "{path} {number}: {answer:?}");
            }
            assert_eq!(state(&sidecar).await, CLOSED, "{path}");
        }
        assert_eq!(server.count(), 30 * paths.len());
    });
}

#[test]
fn callers_that_leave_early_open_nothing() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(one(
            app.address(),
            "timeouts: { total: 30s }\ncircuit_breaker: { slow_threshold: 1s }",
        ))
        .await;
        let mut waiting = Vec::new();
        for _ in 0..40 {
            waiting.push(send(&sidecar, get("/hang")).await);
        }
        eventually("all are sent", async || (app.count("/hang") == 40).then_some(())).await;
        waiting.clear();
        none_in_flight(&sidecar).await;
        // Nor do they count as hung later on.
        sleep(Duration::from_millis(1_700)).await;
        assert_eq!(call(&sidecar, get("/")).await.status, 200);
        assert_eq!(state(&sidecar).await, CLOSED);
    });
}

#[test]
fn callers_that_leave_late_have_seen_it_to_be_slow() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(one(app.address(), QUICK)).await;
        // Never ten at once: it is not for calls that hang, but for those that were given up.
        for _ in 0..2 {
            let mut waiting = Vec::new();
            for _ in 0..5 {
                waiting.push(send(&sidecar, get("/hang")).await);
            }
            sleep(Duration::from_millis(500)).await;
            assert_eq!(state(&sidecar).await, CLOSED);
            waiting.clear();
            none_in_flight(&sidecar).await;
        }
        becomes(&sidecar, OPEN).await;
    });
}

#[test]
fn long_answers_and_open_websockets_do_not_hang() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(one(app.address(), QUICK)).await;
        let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let mut open = Vec::new();
        for (path, fields, status) in [
            ("/slow-body?chunks=300&gap=100", "", 200),
            ("/sse?events=300&gap=100", "", 200),
            ("/ws", upgrade, 101),
        ] {
            for _ in 0..12 {
                let mut stream = send(&sidecar, request("GET", path, fields)).await;
                assert_eq!(stream.head().await.unwrap().status, status, "{path}");
                open.push(stream);
            }
        }
        sleep(Duration::from_millis(1_300)).await;
        assert_eq!(call(&sidecar, get("/")).await.status, 200);
        open.clear();
        none_in_flight(&sidecar).await;
        assert_eq!(call(&sidecar, get("/")).await.status, 200);
        assert_eq!(state(&sidecar).await, CLOSED);
    });
}

#[test]
fn a_grpc_status_that_is_the_callers_fault_opens_nothing() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(one(app.address(), &format!("protocol: h2\n{RATIO}"))).await;
        let mut client = h2(tcp(sidecar.outbound).await).await;
        for _ in 0..30 {
            let call = http::Request::post("http://dep.test/grpc.Echo/Fail").header("te", "trailers");
            let call = call.header("content-type", "application/grpc").body(full("")).unwrap();
            assert_eq!(ask_h2(&mut client, call).await.field("grpc-status"), Some("3"));
        }
        assert_eq!(state(&sidecar).await, CLOSED);
    });
}
