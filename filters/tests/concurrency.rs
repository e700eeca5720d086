//! The bounds hold when many threads ask at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use outrigger_filters::chain::{Action, Chain};
use outrigger_filters::clock::{Clock, ManualClock, Nanos};
use outrigger_filters::rate_limits::Limit;
use outrigger_filters::state::StateStore;
use outrigger_filters::unit::Rate;
use support::{SECOND, build, counted, limit, passed, per_client, request};

const THREADS: usize = 4;
const TRIES: usize = 20_000;

/// How many pass when all threads ask, each as a worker of its own; the clock moves on meanwhile.
fn storm(chain: &Arc<Chain>, clock: &ManualClock, step: Duration, clients: u32) -> usize {
    let passed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..THREADS {
            let passed = &passed;
            scope.spawn(move || {
                let headers = HeaderMap::new();
                for attempt in 0..TRIES {
                    let client = attempt as u32 % clients;
                    let verdict = chain.admit(&request(&headers, client, worker), clock.now());
                    passed.fetch_add(usize::from(verdict.is_ok()), Ordering::Relaxed);
                    clock.advance(step);
                }
            });
        }
    });
    passed.into_inner()
}

/// burst + rate·t, for each client.
fn bound(burst: usize, per_second: u64, clock: &ManualClock, clients: usize) -> usize {
    let granted = clock.now().since(Nanos(0)).as_nanos() * u128::from(per_second) / SECOND.as_nanos();
    (burst + granted as usize) * clients
}

#[test]
fn one_bucket_never_grants_more_than_its_bound() {
    let chain = build(&StateStore::new(THREADS), &[limit("a", Rate::per_second(1_000), 50)]);
    let clock = ManualClock::default();
    let passed = storm(&chain, &clock, Duration::from_micros(10), 1);
    let bound = bound(50, 1_000, &clock, 1);
    assert!(
        (bound - 1..=bound).contains(&passed),
        "{passed} of {bound}: asked so often, nothing is lost either"
    );
}

#[test]
fn keys_in_a_full_table_never_get_more_than_their_bound() {
    let small = Limit { max_keys: 5, ..per_client(limit("a", Rate::per_second(100), 10)) };
    let chain = build(&StateStore::new(THREADS), &[small]);
    let clock = ManualClock::default();
    let passed = storm(&chain, &clock, Duration::from_micros(10), 20);
    let bound = bound(10, 100, &clock, 20);
    assert!((50..=bound).contains(&passed), "{passed} of {bound}");
}

#[test]
fn losers_of_a_race_give_back_what_they_took() {
    let hourly = Rate { count: 1, per: SECOND * 3600 };
    let limits = [limit("wide", hourly, 30_000), per_client(limit("narrow", hourly, 2_500))];
    let store = StateStore::new(THREADS);
    let chain = build(&store, &limits);
    let clock = ManualClock::default();
    assert_eq!(storm(&chain, &clock, Duration::ZERO, 8), 20_000);
    let rest = build(&store, &limits[..1]);
    assert_eq!(
        passed(&rest, 1, clock.now(), 40_000),
        10_000,
        "`wide` was charged for those who passed, no others"
    );
}

#[test]
fn every_decision_is_counted() {
    let chain = build(&StateStore::new(THREADS), &[limit("a", Rate::per_second(1), 777)]);
    let passed = storm(&chain, &ManualClock::default(), Duration::ZERO, 1);
    assert_eq!(passed, 777);
    assert_eq!(counted(&chain, "a", Action::Admitted), 777);
    assert_eq!(counted(&chain, "a", Action::Rejected), (THREADS * TRIES - 777) as u64);
}

#[test]
fn reloads_under_load_grant_nothing() {
    let store = StateStore::new(THREADS);
    let clock = ManualClock::default();
    let hourly = |burst| limit("a", Rate { count: 1, per: SECOND * 3600 }, burst);
    let total: usize = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let reloads =
                        (0..500).map(|n| build(&store, &[hourly(if n % 2 == 0 { 50 } else { 900 })]));
                    reloads.map(|chain| passed(&chain, 1, clock.now(), 3)).sum::<usize>()
                })
            })
            .collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!((50..=900).contains(&total), "{total}: one burst, whichever was first");
}
