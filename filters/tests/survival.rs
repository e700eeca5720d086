//! What a change of policy keeps, and the few things it starts afresh.

mod support;

use std::time::Duration;

use outrigger_filters::chain::Action;
use outrigger_filters::clock::Nanos;
use outrigger_filters::filter::RuleId;
use outrigger_filters::policy::Mode;
use outrigger_filters::rate_limits::{KeyPart, Limit};
use outrigger_filters::state::{LINGER, StateStore};
use outrigger_filters::unit::{Rate, Timespan};
use support::{SECOND, ask, build, counted, limit, passed, per_client};

const START: Nanos = Nanos(1_000_000_000);

fn rate(count: u64) -> Rate {
    Rate::per_second(count)
}

#[test]
fn the_same_policy_again_changes_nothing() {
    let store = StateStore::new(1);
    let limits = [limit("all", rate(1), 5), per_client(limit("each", rate(1), 3))];
    assert_eq!(passed(&build(&store, &limits), 1, START, 9), 3);
    for _ in 0..1_000 {
        assert_eq!(passed(&build(&store, &limits), 1, START, 9), 0);
    }
    assert_eq!(passed(&build(&store, &limits), 2, START, 9), 2);
}

#[test]
fn a_larger_burst_refills_nothing() {
    let store = StateStore::new(1);
    assert_eq!(passed(&build(&store, &[per_client(limit("a", rate(1), 5))]), 1, START, 9), 5);
    let larger = build(&store, &[per_client(limit("a", rate(1), 50))]);
    assert_eq!(passed(&larger, 1, START, 99), 0);
    assert_eq!(passed(&larger, 2, START, 99), 5, "nor for keys never seen");
    assert_eq!(passed(&larger, 3, START.after(SECOND * 10), 99), 15);
}

#[test]
fn a_smaller_burst_holds_at_once() {
    let store = StateStore::new(1);
    assert_eq!(passed(&build(&store, &[limit("a", rate(1), 50)]), 1, START, 10), 10);
    assert_eq!(passed(&build(&store, &[limit("a", rate(1), 5)]), 1, START, 99), 5);
}

#[test]
fn a_new_rate_is_felt_at_once_and_locks_nobody_out() {
    let store = StateStore::new(1);
    let fast = build(&store, &[limit("a", rate(1_000), 10)]);
    for second in 0..100 {
        assert_eq!(passed(&fast, 1, START.after(SECOND * second), 99), 10);
    }
    let change = START.after(SECOND * 99);
    let slow = build(&store, &[limit("a", rate(2), 10)]);
    assert_eq!(passed(&slow, 1, change, 99), 0);
    assert_eq!(passed(&slow, 1, change.after(SECOND), 99), 2);
    let fast = build(&store, &[limit("a", rate(1_000), 10)]);
    assert_eq!(passed(&fast, 1, change.after(SECOND), 99), 0);
    assert_eq!(passed(&fast, 1, change.after(SECOND + Duration::from_millis(5)), 99), 5);
}

#[test]
fn pushing_back_and_forth_grants_no_more_than_time_does() {
    let store = StateStore::new(1);
    let mut total = 0;
    for push in 0..2_000u32 {
        let burst = if push % 2 == 0 { 10 } else { 100 };
        let chain = build(&store, &[limit("a", rate(1), burst)]);
        total += passed(&chain, 1, START.after(Duration::from_millis(1) * push), 200);
    }
    assert_eq!(total, 10 + 1, "the burst once, and a second less a millisecond twice over");
}

#[test]
fn a_snapshot_that_is_still_in_use_follows_the_newer_one() {
    let store = StateStore::new(1);
    let old = build(&store, &[limit("a", rate(1), 10)]);
    let new = build(&store, &[limit("a", rate(1), 4)]);
    assert_eq!(passed(&new, 1, START, 99), 4);
    assert_eq!(passed(&old, 1, START, 99), 0, "it meets its first request after the newer one has");
}

#[test]
fn counters_never_go_back() {
    let store = StateStore::new(1);
    let first = build(&store, &[limit("a", rate(1), 5)]);
    passed(&first, 1, START, 9);
    drop(first);
    store.sweep(START);
    // Another key is another meter, but the same rule.
    let second = build(&store, &[per_client(limit("a", rate(1), 5))]);
    assert_eq!((counted(&second, "a", Action::Admitted), counted(&second, "a", Action::Rejected)), (5, 4));
}

#[test]
fn order_is_no_identity() {
    let store = StateStore::new(1);
    let (a, b) = (limit("a", rate(1), 2), limit("b", rate(1), 5));
    assert_eq!(passed(&build(&store, &[a.clone(), b.clone()]), 1, START, 9), 2);
    assert_eq!(passed(&build(&store, &[b.clone(), a]), 1, START, 9), 0);
    assert_eq!(passed(&build(&store, &[b]), 1, START, 9), 3);
}

#[test]
fn another_name_or_another_key_starts_afresh() {
    let store = StateStore::new(1);
    assert_eq!(passed(&build(&store, &[limit("a", rate(1), 2)]), 1, START, 9), 2);
    assert_eq!(passed(&build(&store, &[limit("b", rate(1), 2)]), 1, START, 9), 2);
    assert_eq!(passed(&build(&store, &[per_client(limit("a", rate(1), 2))]), 1, START, 9), 2);
    let by_route = Limit { key: vec![KeyPart::Route], ..limit("a", rate(1), 2) };
    assert_eq!(passed(&build(&store, &[by_route]), 1, START, 9), 2);
}

#[test]
fn removing_and_restoring_is_no_reset_button() {
    let store = StateStore::new(1);
    let limits = [limit("a", Rate { count: 1, per: SECOND * 3600 }, 2)];
    assert_eq!(passed(&build(&store, &limits), 1, START, 9), 2);
    store.sweep(START);
    store.sweep(START.after(LINGER - SECOND));
    assert_eq!(passed(&build(&store, &limits), 1, START.after(LINGER), 9), 0);
    store.sweep(START.after(LINGER));
    store.sweep(START.after(LINGER * 2));
    assert!(store.is_empty());
}

#[test]
fn from_shadow_to_enforce_begins_with_a_full_bucket() {
    let store = StateStore::new(1);
    let enforced = limit("a", rate(1), 3);
    let shadow = Limit { mode: Mode::Shadow, ..enforced.clone() };
    let rehearsal = build(&store, std::slice::from_ref(&shadow));
    assert_eq!((passed(&rehearsal, 1, START, 9), counted(&rehearsal, "a", Action::Rejected)), (9, 6));
    let chain = build(&store, &[enforced]);
    assert_eq!((passed(&chain, 1, START, 9), counted(&chain, "a", Action::Rejected)), (3, 6));
    assert_eq!(counted(&build(&store, &[shadow]), "a", Action::Rejected), 6, "each mode has its own");
}

#[test]
fn more_keys_and_other_knobs_keep_what_is_known() {
    let store = StateStore::new(1);
    let few = Limit { max_keys: 2, ..per_client(limit("a", rate(1), 2)) };
    assert_eq!(passed(&build(&store, std::slice::from_ref(&few)), 1, START, 9), 2);
    let many = Limit { max_keys: 5_000, pacing: Timespan::from_millis(1), ..few };
    let chain = build(&store, &[many]);
    assert_eq!(passed(&chain, 1, START, 9), 0);
    assert_eq!((2..5_000).filter(|client| passed(&chain, *client, START, 9) == 2).count(), 4_998);
    assert_eq!(chain.occupancy(RuleId(0)).unwrap().used, 4_999);
}

#[test]
fn a_request_outlives_the_policy_that_let_it_pass() {
    let store = StateStore::new(1);
    let chain = build(&store, &[limit("a", rate(1), 1)]);
    let admitted = ask(&chain, 1, START).ok().unwrap();
    drop(chain);
    store.sweep(START.after(LINGER));
    store.sweep(START.after(LINGER * 2));
    admitted.settle(outrigger_filters::outcome::Outcome::Ok, START.after(LINGER * 3));
}
