//! What opens a breaker, what does not, and what callers and operators are told.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::calls::{
    CLOSED, OPEN, assert_refused, becomes, call, dependency, details, get, one, send, state, timed,
};
use super::scripted::{Act, Scripted};
use super::support::app::app;
use super::support::raw::Answer;
use super::support::run::{eventually, run};
use super::support::sidecar::Sidecar;

const HUNG: &str = "timeouts: { total: 30s }\ncircuit_breaker: { slow_threshold: 1s }";
const RATIO: &str = "circuit_breaker: { min_requests: 10, failure_ratio: 50% }";

fn is_ours(answer: &Answer) -> bool {
    answer.field("proxy-status").is_some()
}

/// What operators see of the open breaker of `dep`: since when it is open, and why, in numbers.
async fn assert_shown_open(sidecar: &Sidecar) {
    assert_eq!(state(sidecar).await, OPEN);
    let shown = &dependency(sidecar, "dep").await["breaker"]["all"];
    assert_eq!(shown["state"], "open", "{shown}");
    assert!(!shown["since"].is_null(), "{shown}");
    let reason = shown["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(|c: char| c.is_ascii_digit()), "{shown}");
}

#[test]
fn stops_calling_a_dependency_that_accepts_and_never_answers() {
    run(async {
        let hole = Scripted::start(|_, _| Act::Hang).await;
        let sidecar = Sidecar::start(one(hole.address(), HUNG)).await;
        assert_eq!(state(&sidecar).await, CLOSED);
        let (began, mut waiting) = (Instant::now(), Vec::new());
        let refused = loop {
            assert!(began.elapsed() < Duration::from_secs(2), "still calling after 2 s");
            let mut client = send(&sidecar, get("/")).await;
            let answer = timeout(Duration::from_millis(20), client.try_answer("GET")).await;
            match answer {
                Ok(answer) => break answer.unwrap(),
                Err(_) => waiting.push(client),
            }
        };
        assert!(began.elapsed() > Duration::from_secs(1), "nothing hung for long yet");
        assert_refused(&refused, "destination_unavailable", "circuit_breaker:dep:");
        assert_shown_open(&sidecar).await;
        refuses_at_once_and_sends_nothing(&sidecar, &hole).await;
        eventually("21 refusals in the log", async || {
            let log = sidecar.access_log();
            let refused = log.iter().filter(|line| line["outcome"] == "destination_unavailable");
            let unsent = refused.filter(|line| line["attempts"] == 0).count();
            (unsent == 21).then_some(())
        })
        .await;
    });
}

async fn refuses_at_once_and_sends_nothing(sidecar: &Sidecar, hole: &Scripted) {
    let (sent, mut times) = (hole.count(), Vec::new());
    for _ in 0..20 {
        let (answer, took) = timed(call(sidecar, get("/"))).await;
        assert_refused(&answer, "destination_unavailable", "circuit_breaker:dep:");
        // Five seconds, a fifth more at most, and as much again to scatter who comes back.
        let wait: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!(wait <= 8, "{answer:?}");
        times.push(took);
    }
    times.sort_unstable();
    assert!(times[17] < Duration::from_millis(50), "{times:?}");
    assert_eq!(hole.count(), sent);
}

#[test]
fn opens_when_half_of_the_calls_fail_and_no_sooner() {
    run(async {
        for failing in ["/status/503", "/status/500", "/reset"] {
            let app = app();
            let sidecar = Sidecar::start(one(app.address(), RATIO)).await;
            for number in 0..10 {
                let path = if number % 2 == 0 { "/" } else { failing };
                let answer = call(&sidecar, get(path)).await;
                assert!(!details(&answer).starts_with("circuit_breaker"), "call {number}: {answer:?}");
            }
            becomes(&sidecar, OPEN).await;
            assert_shown_open(&sidecar).await;
            let answer = call(&sidecar, get("/")).await;
            assert_refused(&answer, "destination_unavailable", "circuit_breaker:dep:");
            assert_eq!(app.requests(), 10, "{failing}");
        }
    });
}

#[test]
fn opens_when_connections_do_not_come_about() {
    run(async {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let sidecar = Sidecar::start(one(gone, "circuit_breaker: {}")).await;
        let mut answers = Vec::new();
        for _ in 0..10 {
            answers.push(call(&sidecar, get("/")).await);
        }
        assert_eq!(answers[0].status, 502, "{:?}", answers[0]);
        assert_refused(&answers[9], "destination_unavailable", "circuit_breaker:dep:");
    });
}

#[test]
fn in_shadow_nobody_is_refused() {
    run(async {
        let app = app();
        let keys = "circuit_breaker: { min_requests: 5, mode: shadow }";
        let sidecar = Sidecar::start(one(app.address(), keys)).await;
        for number in 0..30 {
            let answer = call(&sidecar, get("/status/500")).await;
            assert_eq!(answer.status, 500, "call {number}: {answer:?}");
            assert!(!is_ours(&answer) && answer.field("x-upstream").is_some(), "{answer:?}");
        }
        assert_eq!(call(&sidecar, get("/")).await.status, 200);
        assert_eq!(app.requests(), 31);
    });
}
