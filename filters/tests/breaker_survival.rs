//! What outlives a reload of a circuit breaker, and what operators may set: forced states, shadow, none at all.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests are tests")]

#[path = "support/breaker.rs"]
mod support;

use std::time::Duration;

use outrigger_filters::circuit_breaker::{Forced, Spec, State};
use outrigger_filters::clock::Clock;
use outrigger_filters::evidence::Ended;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::policy::Mode;
use outrigger_filters::state::StateStore;
use outrigger_filters::unit::Timespan;
use support::Rig;

fn rig() -> Rig {
    Rig::new(&Spec::default())
}

#[test]
fn an_operator_may_force_it_either_way() {
    let rig = rig();
    rig.breaker.force(Some(Forced::Open), rig.now());
    assert_eq!((rig.state().number(), rig.acquire().unwrap_err().reason), (4, "forced_open"));
    rig.pass(3_600_000);
    assert!(rig.breaker.peek(rig.now()).is_err(), "time does not end it");
    rig.breaker.force(None, rig.now());
    assert_eq!(rig.state(), State::HalfOpen, "it is tried, not trusted");
    rig.breaker.force(Some(Forced::Closed), rig.now());
    rig.calls(500, Outcome::ConnectionRefused);
    assert_eq!((rig.state().number(), rig.see().failed), (5, 500));
    rig.breaker.force(None, rig.now());
    assert_eq!((rig.state(), rig.see().failed), (State::Closed, 0), "and the past is not held against it");
}

#[test]
fn in_shadow_it_refuses_nobody_and_counts_whom_it_would() {
    let mut rig = Rig::new(&Spec { mode: Mode::Shadow, ..Spec::default() });
    rig.trip();
    let permit = rig.acquire().unwrap();
    assert!(permit.is_shadowed() && rig.breaker.peek(rig.now()).is_ok());
    permit.settle(Ended::new(Outcome::Upstream5xx), rig.now());
    let counts = rig.breaker.counts(rig.now());
    assert_eq!((counts.refused, rig.see().in_flight, rig.see().total), (1, 0, 0));
    rig.recover();
    rig.trip();
    rig.reload(&Spec::default());
    assert_eq!(rig.state(), State::Closed, "enforced it has a state of its own");
}

#[test]
fn disabled_there_is_none() {
    let store = StateStore::new(1);
    let disabled = Spec { mode: Mode::Disabled, ..Spec::default() };
    assert!(disabled.build("a", Duration::from_secs(1), &store).is_none());
}

#[test]
fn a_reload_changes_knobs_and_keeps_the_rest() {
    let mut rig = Rig::new(&Spec { consecutive: 1_000, ..Spec::default() });
    rig.calls(15, Outcome::Upstream5xx);
    let hung = rig.acquire().unwrap();
    rig.reload(&Spec { min_requests: 15, consecutive: 1_000, ..Spec::default() });
    assert_eq!(rig.see().in_flight, 1);
    rig.pass(250);
    assert_eq!(rig.state(), State::Open, "judged anew with the first look");
    let until = rig.see().next_probe;
    for window in [1, 60] {
        rig.reload(&Spec {
            window: Timespan::from_secs(window),
            open_for: Timespan::from_secs(1),
            ..Spec::default()
        });
        assert_eq!((rig.state(), rig.see().next_probe), (State::Open, until));
    }
    rig.wait_for_probes();
    let probe = rig.acquire().unwrap();
    rig.reload(&Spec { probes: 1, ..Spec::default() });
    assert!(rig.acquire().is_err(), "the probe of the old snapshot holds its slot");
    drop((probe, hung));
    assert!(rig.acquire().is_ok());
    assert_eq!(rig.see().in_flight, 0);
}

#[test]
fn a_call_of_an_old_snapshot_is_judged_by_the_new_knobs() {
    let mut rig = Rig::new(&Spec { min_requests: 2, consecutive: 100, ..Spec::default() });
    let old = rig.hang(30);
    rig.reload(&Spec { min_requests: 1_000, consecutive: 100, ..Spec::default() });
    rig.pass(250);
    rig.breaker.tick(rig.now());
    old.into_iter().for_each(|permit| permit.settle(Ended::new(Outcome::Upstream5xx), rig.now()));
    assert_eq!((rig.state(), rig.see().failed), (State::Closed, 30));
}

#[test]
fn removed_and_restored_it_goes_on_where_it_stood() {
    let rig = rig();
    rig.trip();
    let Rig { clock, store, breaker } = rig;
    let until = breaker.snapshot(clock.now()).next_probe;
    drop(breaker);
    store.sweep(clock.now());
    let restored = Spec::default().build(support::OWNER, support::TOTAL, &store).unwrap();
    assert_eq!(restored.snapshot(clock.now()).next_probe, until);
    let other = Spec::default().build("dependencies.other", support::TOTAL, &store).unwrap();
    assert_eq!(other.snapshot(clock.now()).state, State::Closed, "owners are apart");
}
