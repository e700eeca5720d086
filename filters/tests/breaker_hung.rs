//! A dependency that accepts and never answers: it is noticed by the calls that hang, before a timeout ends one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests are tests")]

#[path = "support/breaker.rs"]
mod support;

use std::time::Duration;

use outrigger_filters::circuit_breaker::{Permit, Spec, State};
use outrigger_filters::evidence::Ended;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::unit::Timespan;
use support::Rig;

/// Good calls at 100 a second for so long.
fn good_times(rig: &Rig, seconds: u64) {
    for _ in 0..seconds * 100 {
        rig.calls(1, Outcome::Ok);
        rig.pass(10);
    }
}

/// From now on nothing answers; how long it takes to open at 100 calls a second.
fn until_open(rig: &Rig, held: &mut Vec<Permit>) -> Duration {
    let start = rig.now();
    for _ in 0..10_000 {
        match rig.acquire() {
            Ok(permit) => held.push(permit),
            Err(_) => return rig.now().since(start),
        }
        rig.pass(10);
    }
    panic!("never opened");
}

#[test]
fn opens_within_the_slow_threshold_and_a_second_also_after_good_times() {
    for (threshold, good) in [(50, 0), (1_000, 0), (1_000, 60), (7_500, 30), (15_000, 60), (60_000, 120)] {
        let threshold = Duration::from_millis(threshold);
        let rig = Rig::new(&Spec { slow_threshold: Some(Timespan(threshold)), ..Spec::default() });
        good_times(&rig, good);
        let taken = until_open(&rig, &mut Vec::new());
        assert!(taken > threshold && taken <= threshold + Duration::from_secs(1), "{taken:?}, {threshold:?}");
        assert!(rig.see().reason.contains("calls in flight for more than"), "{}", rig.see().reason);
    }
}

#[test]
fn opens_also_when_nobody_calls_any_more() {
    let rig = Rig::new(&Spec::default());
    good_times(&rig, 20);
    let _hung = rig.hang(10);
    for _ in 0..4 {
        rig.pass(250);
        rig.breaker.tick(rig.now());
    }
    assert_eq!(rig.state(), State::Closed, "a second is not longer than a second");
    for _ in 0..3 {
        rig.pass(250);
        rig.breaker.tick(rig.now());
    }
    assert_eq!(
        (rig.state(), rig.see().reason.as_str()),
        (State::Open, "10 calls in flight for more than 1s")
    );
}

#[test]
fn a_few_that_hang_among_many_that_do_not_open_nothing() {
    let rig = Rig::new(&Spec::default());
    let _hung = rig.hang(15);
    good_times(&rig, 30);
    assert_eq!((rig.state(), rig.see().stalled), (State::Closed, 15));
}

#[test]
fn calls_that_hung_when_it_opened_never_open_it_again() {
    let rig = Rig::new(&Spec::default());
    let mut hung = Vec::new();
    until_open(&rig, &mut hung);
    assert!(hung.len() >= 100);
    rig.wait_for_probes();
    hung.drain(..20).for_each(|permit| permit.settle(Ended::new(Outcome::HttpResponseTimeout), rig.now()));
    rig.probe_well();
    hung.drain(..20).for_each(|permit| permit.settle(Ended::new(Outcome::HttpResponseTimeout), rig.now()));
    rig.pass(4_000);
    assert_eq!(rig.state(), State::Closed);
    for _ in 0..20 {
        hung.pop().unwrap().settle(Ended::new(Outcome::HttpResponseTimeout), rig.now());
        rig.calls(1, Outcome::Ok);
        rig.pass(10_000);
    }
    assert_eq!((rig.state(), rig.see().stalled), (State::Closed, 0), "{} still hang", hung.len());
    assert_eq!(rig.breaker.changes_after(0).len(), 4);
    drop(hung);
    assert_eq!(rig.see().in_flight, 0);
}

#[test]
fn a_dependency_that_hangs_again_on_the_ramp_opens_it_again() {
    let rig = Rig::new(&Spec::default());
    let mut hung = Vec::new();
    until_open(&rig, &mut hung);
    rig.wait_for_probes();
    rig.probe_well();
    let before = rig.now();
    while rig.state() != State::Open {
        hung.extend((0..5).filter_map(|_| rig.acquire().ok()));
        rig.pass(50);
    }
    assert!(rig.now().since(before) <= Duration::from_secs(2), "{:?}", rig.now().since(before));
}
