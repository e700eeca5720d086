//! When calls are made again, and when there is no time left for it.

use std::time::Duration;

use tokio::time::sleep;

use super::calls::{call, get, one, request, retries, send, timed};
use super::scripted::{Act, Scripted};
use super::support::run::{becomes_true, run};
use super::support::sidecar::Sidecar;

fn assert_within(took: Duration, least: u64, most: u64) {
    let millis = u64::try_from(took.as_millis()).unwrap();
    assert!((least..=most).contains(&millis), "{millis} ms, not {least} to {most}");
}

#[test]
fn a_try_that_hangs_is_given_up_and_the_next_one_answers() {
    run(async {
        let script = |_: &_, before| if before == 0 { Act::Hang } else { Act::Say(200) };
        let server = Scripted::start(script).await;
        let keys = "timeouts: { total: 5s, per_try: 300ms }\nretries: {}";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let (answer, took) = timed(call(&sidecar, get("/"))).await;
        assert_eq!((answer.status, server.count()), (200, 2), "{answer:?}");
        assert_within(took, 290, 2_000);
        becomes_true("the try is ended at the upstream too", || server.busy("/") == 0).await;
        assert_eq!((retries(&sidecar, "retried").await, retries(&sidecar, "recovered").await), (1.0, 1.0));
    });
}

#[test]
fn tries_together_take_no_longer_than_the_total() {
    run(async {
        let server = Scripted::start(|_, _| Act::Hang).await;
        let keys = "timeouts: { total: 1s, per_try: 400ms }\nretries: {}";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let (answer, took) = timed(call(&sidecar, get("/"))).await;
        assert_eq!((answer.status, answer.field("outrigger-sent")), (504, Some("1")), "{answer:?}");
        assert!(answer.field("proxy-status").unwrap().contains("error=http_response_timeout;"));
        assert_within(took, 800, 1_400);
        assert!((2..=3).contains(&server.count()), "{} tries", server.count());
    });
}

#[test]
fn waits_between_tries_are_of_the_total_too() {
    run(async {
        let server = Scripted::start(|_, _| Act::Say(503)).await;
        let keys = "timeouts: { total: 500ms }\nretries: { attempts: 5, backoff: { base: 10s, max: 10s } }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        for _ in 0..3 {
            let (answer, took) = timed(call(&sidecar, get("/"))).await;
            assert!(matches!(answer.status, 503 | 504), "{answer:?}");
            assert_within(took, 0, 900);
        }
    });
}

#[test]
fn a_throttled_call_waits_as_long_as_it_was_told() {
    run(async {
        let server = Scripted::start(|seen, before| match (before, seen.path.as_str()) {
            (0, "/503") => Act::Add(503, "retry-after", "1"),
            (0, _) => Act::Add(429, "retry-after", "1"),
            _ => Act::Say(200),
        })
        .await;
        let keys = "timeouts: { total: 6s }\nretries: { when: [429, 503] }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let both = [timed(call(&sidecar, get("/503"))), timed(call(&sidecar, get("/429")))];
        for (answer, took) in futures_util::future::join_all(both).await {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_within(took, 1_000, 2_500);
        }
    });
}

#[test]
fn a_wait_longer_than_the_deadline_is_not_begun() {
    run(async {
        let server = Scripted::start(|_, _| Act::Add(503, "retry-after", "7")).await;
        let keys = "timeouts: { total: 3s }\nretries: {}";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let (answer, took) = timed(call(&sidecar, get("/"))).await;
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("7")), "{answer:?}");
        assert_eq!(server.count(), 1);
        assert_within(took, 0, 1_000);
        assert_eq!((retries(&sidecar, "retried").await, retries(&sidecar, "deadline").await), (0.0, 1.0));
    });
}

#[test]
fn without_a_time_of_its_own_a_try_gets_its_share_of_the_total() {
    run(async {
        let script = |_: &_, before| if before < 2 { Act::Hang } else { Act::Say(200) };
        let server = Scripted::start(script).await;
        let sidecar = Sidecar::start(one(server.address(), "timeouts: { total: 2s }\nretries: {}")).await;
        let (answer, took) = timed(call(&sidecar, get("/"))).await;
        assert_eq!((answer.status, server.count()), (200, 3), "{answer:?}");
        assert_within(took, 1_200, 1_990);
        // A request that can be sent but once has all of it.
        let before = server.count();
        let (answer, took) = timed(call(&sidecar, super::calls::post("/post", b"x"))).await;
        assert_eq!((answer.status, server.count()), (504, before + 1), "{answer:?}");
        assert_within(took, 1_900, 2_600);
    });
}

#[test]
fn the_callers_own_deadline_ends_it_and_each_try_is_told_what_is_left() {
    run(async {
        let server = Scripted::start(|_, _| Act::Hang).await;
        let keys = "timeouts: { total: 10s, per_try: 300ms }\nretries: { attempts: 5 }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let hurried = request("GET", "/", "x-request-timeout-ms: 700\r\n");
        let (answer, took) = timed(call(&sidecar, hurried)).await;
        assert_eq!(answer.status, 504, "{answer:?}");
        assert_within(took, 500, 1_300);
        let told = server.seen().into_iter();
        let told: Vec<u64> =
            told.map(|seen| seen.field("x-request-timeout-ms").unwrap().parse().unwrap()).collect();
        // What is left of all or of the try, whichever is shorter.
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0] <= 300 && told[1] <= 300 && told[2] <= 100, "{told:?}");
    });
}

#[test]
fn for_a_caller_that_left_nothing_is_repeated() {
    run(async {
        let server = Scripted::start(|_, _| Act::Add(503, "retry-after", "1")).await;
        let sidecar = Sidecar::start(one(server.address(), "timeouts: { total: 9s }\nretries: {}")).await;
        let client = send(&sidecar, get("/")).await;
        becomes_true("the first try", || server.count() == 1).await;
        sleep(Duration::from_millis(200)).await;
        drop(client);
        sleep(Duration::from_millis(1_600)).await;
        assert_eq!(server.count(), 1);
    });
}
