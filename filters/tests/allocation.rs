//! Deciding allocates nothing: not the first time, not for a new key, not when full, not when refusing.

mod support;

use std::sync::Arc;

use http::{HeaderMap, Method};
use outrigger_filters::chain::Chain;
use outrigger_filters::circuit_breaker::{Forced, Spec};
use outrigger_filters::clock::Nanos;
use outrigger_filters::evidence::Ended;
use outrigger_filters::isolation::{self, Bulkhead, Entry, Gate, Process};
use outrigger_filters::outcome::Outcome;
use outrigger_filters::policies::RoutePolicies;
use outrigger_filters::policy::Mode;
use outrigger_filters::rate_limits::{Headers, KeyPart, Limit};
use outrigger_filters::retries::{self, Attempt, Original, Retries};
use outrigger_filters::state::StateStore;
use outrigger_filters::unit::Rate;
use support::{build, limit, per_client, request};

/// Allocations of so many requests, each from another client, and how many passed.
fn allocations(chain: &Arc<Chain>, requests: u32) -> (u64, u32) {
    let headers = HeaderMap::from_iter([(http::header::HOST, http::HeaderValue::from_static("orders"))]);
    let mut passed = 0;
    let measured = allocation_counter::measure(|| {
        for client in 0..requests {
            if let Ok(admitted) = chain.admit(&request(&headers, client, 0), Nanos(u64::from(client))) {
                admitted.settle(Outcome::Ok, Nanos(u64::from(client)));
                passed += 1;
            }
        }
    });
    (measured.count_total, passed)
}

#[test]
fn an_empty_chain_allocates_nothing() {
    assert_eq!(allocations(&build(&StateStore::new(1), &[]), 100), (0, 100));
}

#[test]
fn the_example_allocates_nothing() {
    let (allocations, passed) =
        allocations(&RoutePolicies::example().build("route", &StateStore::new(2)), 10_000);
    assert_eq!(allocations, 0);
    assert!((1..10_000).contains(&passed), "{passed} passed: both verdicts are measured");
}

#[test]
fn keys_shadow_headers_and_overflow_allocate_nothing() {
    let key = |parts: &[KeyPart]| Limit {
        key: parts.to_vec(),
        ..limit("parts", Rate::per_second(9_000_000), 9_000_000)
    };
    let limits = [
        Limit { max_keys: 100, ..per_client(limit("small", Rate::per_second(1), 1)) },
        Limit { mode: Mode::Shadow, ..per_client(limit("rehearsed", Rate::per_second(1), 1)) },
        Limit { headers: Headers::Always, ..limit("told", Rate::per_second(1_000), 10_000) },
        key(&[KeyPart::Header("host".into()), KeyPart::Query("a".into()), KeyPart::Route, KeyPart::Method]),
    ];
    let (allocations, passed) = allocations(&build(&StateStore::new(1), &limits), 20_000);
    assert_eq!(allocations, 0);
    assert!((100..20_000).contains(&passed), "{passed}");
}

#[test]
fn a_breaker_allocates_nothing_while_its_state_stays() {
    let total = std::time::Duration::from_secs(2);
    let breaker = Spec::default().build("inventory", total, &StateStore::new(1)).unwrap();
    let mut passed = 0;
    let mut calls = |from: u64| {
        let calls = allocation_counter::measure(|| {
            for now in (from..from + 10_000).map(|millis| Nanos(millis * 1_000_000)) {
                let _ = breaker.peek(now);
                if let Ok(mut permit) = breaker.acquire(now, 0, false) {
                    permit.answered(now);
                    let failed = now.0 % 3 == 0;
                    permit.settle(Ended::new(if failed { Outcome::Upstream5xx } else { Outcome::Ok }), now);
                    passed += 1;
                }
            }
        });
        (calls.count_total, passed)
    };
    assert_eq!(calls(1_000), (0, 10_000), "closed");
    breaker.force(Some(Forced::Open), Nanos(11_000_000_000));
    assert_eq!(calls(11_000), (0, 10_000), "and open");
}

#[test]
fn retries_allocate_nothing() {
    let store = StateStore::new(1);
    let retries = Retries::build(Some(&retries::Spec::default()), "dependency/d", &store);
    let original = Original { method: &Method::GET, keyed: false, is_retry: false };
    let failed = Attempt::new(Outcome::Upstream5xx, Some(503), true);
    let measured = allocation_counter::measure(|| {
        for now in (0..1_000).map(|n| Nanos(n * 1_000_000)) {
            let mut call = retries.begin(&original, now);
            for _ in 0..3 {
                drop(retries.decide(&mut call, &failed, std::time::Duration::from_secs(1), now, now.0));
            }
        }
    });
    assert_eq!(measured.count_total, 0);
    let refused = retries.counted().filter(|(_, count)| *count > 0).count();
    assert!(refused >= 3, "retried, braked and exhausted are measured");
}

#[test]
fn isolation_allocates_nothing() {
    let process = Process { max_in_flight: 10, max_buffered: 1_000, dependencies: 2 };
    let bulkhead = Bulkhead::build(&isolation::Spec::default(), "d", &process, &StateStore::new(1));
    let mut gate: Gate<()> = Gate::new(Arc::clone(&bulkhead));
    let mut held = Vec::with_capacity(10);
    let measured = allocation_counter::measure(|| {
        for _ in 0..5 {
            if let Entry::In(permit) = gate.enter(Nanos(0), Nanos(9), || ()) {
                held.push(permit);
            }
        }
        assert!(bulkhead.try_enter().is_err() && Arc::clone(&bulkhead).bytes().grow(501).is_err());
        held.clear();
        assert!(gate.next(Nanos(1)).is_none());
    });
    assert_eq!(measured.count_total, 0);
}
