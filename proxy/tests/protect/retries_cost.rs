//! What retries may cost a dependency that fails.

use std::time::Duration;

use tokio::time::Instant;

use super::calls::{call, get, metric, one, retries};
use super::scripted::{Act, Scripted};
use super::support::raw::Raw;
use super::support::run::run;
use super::support::sidecar::Sidecar;

const CALLS: usize = 300;

#[test]
fn a_total_failure_is_not_multiplied() {
    run(async {
        let server = Scripted::start(|_, _| Act::Say(503)).await;
        let sidecar = Sidecar::start(one(server.address(), "retries: {}")).await;
        let (mut raw, began) = (Raw::connect(sidecar.outbound).await, Instant::now());
        for number in 0..CALLS {
            let answer = raw.ask(get("/")).await;
            assert_eq!((answer.status, answer.field("x-upstream")), (503, Some("scripted")), "{answer:?}");
            assert_eq!(answer.field("outrigger-no-retry"), Some("1"), "call {number}: {answer:?}");
        }
        // A tenth of the calls, ten that were saved up, one for each second that it took, and one for the rounding.
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
        let most = CALLS + CALLS / 10 + 10 + seconds + 1;
        assert!(server.count() <= most, "{} tries for {CALLS} calls", server.count());
        assert!(server.count() > CALLS, "no retries at all");
        let retried = retries(&sidecar, "retried").await;
        assert_eq!(retried, (server.count() - CALLS) as f64);
        assert_eq!(retries(&sidecar, "recovered").await, 0.0);
    });
}

#[test]
fn a_few_failures_among_many_calls_are_all_made_good() {
    run(async {
        // One in twenty fails, and the budget is one in ten.
        let script = |seen: &super::scripted::Seen, _| {
            let first = seen.field("outrigger-attempt").is_none_or(|number| number == "0");
            Act::Say(if first && seen.path.ends_with("00") { 503 } else { 200 })
        };
        let server = Scripted::start(script).await;
        let keys = "retries: { budget: { ratio: 10%, min_per_second: 0 } }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let mut raw = Raw::connect(sidecar.outbound).await;
        for number in 1..=400_u32 {
            let path = format!("/{}", if number % 20 == 0 { "x00".into() } else { format!("{number}x") });
            assert_eq!(raw.ask(get(&path)).await.status, 200, "call {number}");
        }
        assert_eq!(server.count(), 420);
        assert_eq!(retries(&sidecar, "recovered").await, 20.0);
    });
}

#[test]
fn in_shadow_nothing_is_repeated_and_it_is_counted() {
    run(async {
        let script = |_: &_, before| Act::Say(if before == 0 { 503 } else { 200 });
        let server = Scripted::start(script).await;
        let sidecar = Sidecar::start(one(server.address(), "retries: { mode: shadow }")).await;
        for number in 0..3 {
            let answer = call(&sidecar, get(&format!("/{number}"))).await;
            assert_eq!((answer.status, answer.field("outrigger-no-retry")), (503, None), "{answer:?}");
        }
        assert_eq!(server.count(), 3);
        assert_eq!((retries(&sidecar, "shadow").await, retries(&sidecar, "retried").await), (3.0, 0.0));
    });
}

#[test]
fn retries_add_to_what_the_breaker_sees_and_it_ends_them() {
    run(async {
        let server = Scripted::start(|_, _| Act::Say(503)).await;
        let keys = "retries: { budget: { ratio: 100%, min_per_second: 100 } }
                    circuit_breaker: { min_requests: 10 }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let mut answers = Vec::new();
        for _ in 0..20 {
            answers.push(call(&sidecar, get("/")).await);
        }
        let last = answers.last().unwrap();
        super::calls::assert_refused(last, "destination_unavailable", "circuit_breaker:dep:");
        // The tenth failure opened it, and what was refused was not tried again.
        assert!((5..=13).contains(&server.count()), "{} tries", server.count());
        let (_, took) = super::calls::timed(call(&sidecar, get("/"))).await;
        assert!(took < Duration::from_millis(500), "{took:?}");
        let sent = metric(&sidecar, "outrigger_requests_total", &[]).await;
        assert_eq!(sent, Some(21.0));
    });
}
