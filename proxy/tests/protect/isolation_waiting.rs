//! Those who wait for a place: until they get one, until their time is over, until they leave.

use std::time::Duration;

use tokio::time::Instant;

use super::calls::{assert_refused, call, dep_until, details, get, one, request, send, timed};
use super::isolation::{flying, held, hold, rejected};
use super::scripted::Scripted;
use super::support::client::{empty, h2, tcp};
use super::support::run::{becomes_true, run};
use super::support::sidecar::{Setup, Sidecar};

#[test]
fn who_waited_in_vain_is_told_so() {
    run(async {
        let server = Scripted::start(held).await;
        let keys = "isolation: { max_in_flight: 2, max_queue: 1, queue_timeout: 400ms }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let _calls = hold(&sidecar, &server, 2).await;
        let (answer, took) = timed(call(&sidecar, get("/"))).await;
        assert_refused(&answer, "connection_limit_reached", "isolation:dep:timeout");
        let millis = took.as_millis();
        assert!((380..1_500).contains(&millis), "{millis} ms");
        assert_eq!((rejected(&sidecar, "timeout").await, rejected(&sidecar, "queue").await), (1.0, 0.0));
        assert_eq!(server.count(), 2);
        dep_until(&sidecar, "its place is free again", |dep| dep["queued"] == 0).await;
    });
}

#[test]
fn nobody_waits_beyond_the_end_of_its_time() {
    run(async {
        let server = Scripted::start(held).await;
        let keys = "isolation: { max_in_flight: 1, max_queue: 4, queue_timeout: 8s }
                    routes: [{ name: hurried, match: { path: /now }, timeouts: { total: 300ms } }]";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let _calls = hold(&sidecar, &server, 1).await;
        for hurried in [get("/now"), request("GET", "/", "x-request-timeout-ms: 300\r\n")] {
            let (answer, took) = timed(call(&sidecar, hurried)).await;
            assert!(matches!(answer.status, 503 | 504), "{answer:?}");
            assert_eq!(answer.field("outrigger-sent"), Some("0"), "{answer:?}");
            assert!((250..1_500).contains(&took.as_millis()), "{took:?}");
        }
        assert_eq!(server.count(), 1);
    });
}

#[test]
fn who_waits_for_a_connection_waits_no_longer_than_for_a_permit() {
    run(async {
        let server = Scripted::start(held).await;
        let keys = "isolation: { max_connections_per_endpoint: 2, queue_timeout: 500ms }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let mut calls = hold(&sidecar, &server, 2).await;
        let (answer, took) = timed(call(&sidecar, get("/"))).await;
        assert_refused(&answer, "connection_limit_reached", "");
        assert!((450..1_500).contains(&took.as_millis()), "{took:?}");
        // One comes free in time.
        let mut waiting = send(&sidecar, get("/")).await;
        flying(&sidecar, 3.0).await;
        server.release(1);
        assert_eq!(waiting.answer("GET").await.status, 200);
        server.release(1);
        for call in &mut calls {
            assert_eq!(call.answer("GET").await.status, 200);
        }
    });
}

#[test]
fn who_leaves_gives_its_place_and_its_permit_back() {
    run(async {
        let server = Scripted::start(held).await;
        let keys = "isolation: { max_in_flight: 1, max_queue: 1, queue_timeout: 8s }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let calling = hold(&sidecar, &server, 1).await;
        let waiting = send(&sidecar, get("/hold")).await;
        dep_until(&sidecar, "one waits", |dep| dep["queued"] == 1).await;
        drop(waiting);
        dep_until(&sidecar, "nobody waits", |dep| dep["queued"] == 0).await;
        let mut waiting = send(&sidecar, get("/hold")).await;
        dep_until(&sidecar, "another waits", |dep| dep["queued"] == 1).await;
        assert_eq!(server.count(), 1, "who left was never sent");
        drop(calling);
        becomes_true("who waited is at the server", || server.count() == 2).await;
        server.release(1);
        assert_eq!(waiting.answer("GET").await.status, 200);
        flying(&sidecar, 0.0).await;
    });
}

#[test]
fn a_stream_of_http_2_that_is_reset_gives_them_back_too() {
    run(async {
        let server = Scripted::start(held).await;
        let keys = "isolation: { max_in_flight: 1, max_queue: 1, queue_timeout: 8s }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let mut client = h2(tcp(sidecar.outbound).await).await;
        let mut begin = || {
            let request = http::Request::get("http://dep.test/hold").body(empty()).unwrap();
            tokio::spawn(client.send_request(request))
        };
        let calling = begin();
        becomes_true("one is at the server", || server.busy("/hold") == 1).await;
        let waiting = begin();
        dep_until(&sidecar, "one waits", |dep| dep["queued"] == 1).await;
        waiting.abort();
        dep_until(&sidecar, "nobody waits", |dep| dep["queued"] == 0).await;
        calling.abort();
        flying(&sidecar, 0.0).await;
        assert_eq!(call(&sidecar, get("/")).await.status, 200);
    });
}

#[test]
fn room_made_on_one_worker_is_found_by_who_waits_on_another() {
    run(async {
        let server = Scripted::start(held).await;
        let keys = "isolation: { max_in_flight: 1, max_queue: 4, queue_timeout: 8s }";
        let sidecar = Setup::new(one(server.address(), keys)).line("workers: 2").start().await;
        let mut calls = hold(&sidecar, &server, 1).await;
        for _ in 0..4 {
            calls.push(send(&sidecar, get("/hold")).await);
        }
        dep_until(&sidecar, "four wait", |dep| dep["queued"] == 4).await;
        // Both workers have some of them. Nobody waits for longer than the others take.
        server.release(5);
        let began = Instant::now();
        for mut call in calls {
            let answer = call.answer("GET").await;
            assert!(answer.status == 200 || details(&answer) == "isolation:dep:codel", "{answer:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        flying(&sidecar, 0.0).await;
    });
}

#[test]
fn a_hundred_who_leave_and_come_leak_nothing() {
    run(async {
        let server = Scripted::start(held).await;
        let keys = "isolation: { max_in_flight: 4, max_queue: 4, queue_timeout: 50ms }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        for round in 0..10 {
            let mut calls = Vec::new();
            for _ in 0..10 {
                calls.push(send(&sidecar, get("/hold")).await);
            }
            // Some leave at once, some later, some are refused, some wait in vain.
            calls.truncate(round);
            tokio::time::sleep(Duration::from_millis(10 * round as u64)).await;
        }
        flying(&sidecar, 0.0).await;
        dep_until(&sidecar, "nobody waits", |dep| dep["queued"] == 0).await;
        becomes_true("the server is done with them", || server.busy("/hold") == 0).await;
        let calls = hold(&sidecar, &server, 4).await;
        server.release(4);
        for mut call in calls {
            assert_eq!(call.answer("GET").await.status, 200);
        }
    });
}
