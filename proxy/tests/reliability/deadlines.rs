//! What the caller says about its patience: believed, passed on shorter, and inherited by the app's own calls.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::support::app::{ByHand, app};
use super::support::raw::{Answer, Raw};
use super::support::run::{run, soon};
use super::support::sidecar::Sidecar;
use super::watching::metric;

/// A header of a request head, as a number.
fn millis(head: &str, name: &str) -> Option<u64> {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
    line.parse().ok()
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

/// Within 300 ms and a little.
fn is_in_time(began: Instant) {
    let took = began.elapsed().as_millis();
    assert!((295..360).contains(&took), "{took} ms");
}

fn is_late(answer: &Answer) {
    let status = answer.field("proxy-status").unwrap();
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(status.contains("http_response_timeout"), "{status}");
}

#[test]
fn a_callers_deadline_ends_a_request_before_the_routes_time_does() {
    run(async {
        let upstream = ByHand::listen().await;
        let sidecar = Sidecar::before(format_args!("http://{}", upstream.address())).await;
        for field in
            ["x-request-timeout-ms: 300", "grpc-timeout: 300m", "x-envoy-expected-rq-timeout-ms: 300"]
        {
            let (mut client, began) = (Raw::connect(sidecar.inbound).await, Instant::now());
            client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n")).await;
            let mut app = upstream.accept().await;
            let head = app.request_head().await;
            let left = millis(&head, "x-request-timeout-ms").unwrap();
            assert!((200..=296).contains(&left), "{field}: {left}");
            assert!(!head.contains("envoy") && !head.contains("grpc-timeout"), "{head}");
            is_late(&client.answer("GET").await);
            is_in_time(began);
            // And the upstream is told at once that nobody waits any more.
            let told = timeout(Duration::from_millis(20), app.until_end()).await;
            assert!(told.is_ok(), "the upstream was left to work");
        }
    });
}

#[test]
fn a_deadline_that_has_passed_is_not_worth_a_call() {
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("http://{}", app.address())).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let answer = client.ask("GET / HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: 0\r\n\r\n").await;
        is_late(&answer);
        assert_eq!(answer.field("outrigger-sent"), Some("0"));
        assert_eq!(app.requests(), 0);
        let nonsense = "GET / HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: soon\r\n\r\n";
        assert_eq!(client.ask(nonsense).await.status, 200);
    });
}

#[test]
fn says_how_long_there_is_also_where_the_caller_says_nothing() {
    run(async {
        let upstream = ByHand::listen().await;
        let policy = format!(
            "version: 1\ninbound:\n  app: http://{}\n  defaults: {{ timeouts: {{ total: 4s }} }}\n",
            upstream.address()
        );
        let sidecar = Sidecar::start(policy).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: 99999999\r\n\r\n").await;
        let mut app = upstream.accept().await;
        let left = millis(&app.request_head().await, "x-request-timeout-ms").unwrap();
        assert!((3_800..4_000).contains(&left), "{left}");
        app.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(client.answer("GET").await.status, 200);
        // A call that may stream for ever is not told that it ends.
        client
            .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n")
            .await;
        let head = app.request_head().await;
        assert!(!head.contains("timeout"), "{head}");
    });
}

#[test]
fn the_apps_calls_inherit_the_deadline_by_nothing_but_the_trace() {
    run(async {
        let (app, dependency) = (ByHand::listen().await, ByHand::listen().await);
        let policy = format!(
            "version: 1\ninbound:\n  app: http://{}\ndependencies:\n  dep:\n    hosts: [dep.test]\n    \
             endpoints: [{{ address: \"{}\" }}]\n    timeouts: {{ total: 5s }}\n",
            app.address(),
            dependency.address()
        );
        let sidecar = Sidecar::start(policy).await;
        let (mut client, began) = (Raw::connect(sidecar.inbound).await, Instant::now());
        client.send("GET / HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: 300\r\n\r\n").await;
        let mut at_app = app.accept().await;
        let trace = header(&at_app.request_head().await, "traceparent").to_owned();
        // All the app does is pass on where it stands in the trace.
        let mut call = Raw::connect(sidecar.outbound).await;
        call.send(format!("GET / HTTP/1.1\r\nhost: dep.test\r\ntraceparent: {trace}\r\n\r\n")).await;
        let mut at_dependency = dependency.accept().await;
        let head = at_dependency.request_head().await;
        assert!(millis(&head, "x-request-timeout-ms").unwrap() < 300, "{head}");
        is_late(&call.answer("GET").await);
        is_in_time(began);
        is_late(&client.answer("GET").await);
        assert!(timeout(Duration::from_millis(20), at_dependency.until_end()).await.is_ok());
        // Once the request is over its trace means nothing any more.
        let mut later = Raw::connect(sidecar.outbound).await;
        later.send(format!("GET / HTTP/1.1\r\nhost: dep.test\r\ntraceparent: {trace}\r\n\r\n")).await;
        let mut at_dependency = soon("a call", dependency.accept()).await;
        let left = millis(&at_dependency.request_head().await, "x-request-timeout-ms").unwrap();
        assert!(left > 4_000, "{left}");
        assert_eq!(metric(&sidecar, "outrigger_lineage_overflow_total", &[]).await, 0.0);
    });
}
