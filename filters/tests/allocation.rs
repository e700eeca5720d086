//! Asking a chain allocates nothing: not the first time, not for a new key, not when full, not when refusing.

mod support;

use std::sync::Arc;

use http::HeaderMap;
use outrigger_filters::chain::Chain;
use outrigger_filters::circuit_breaker::{Forced, Spec};
use outrigger_filters::clock::Nanos;
use outrigger_filters::evidence::Ended;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::policies::RoutePolicies;
use outrigger_filters::policy::Mode;
use outrigger_filters::rate_limits::{Headers, KeyPart, Limit};
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
