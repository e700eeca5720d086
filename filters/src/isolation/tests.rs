use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::Nanos;
use crate::outcome::Outcome;
use crate::policy::Mode;
use crate::state::StateStore;
use crate::unit::{Percent, Size};

const START: Nanos = Nanos(5_000_000_000);
const NEVER: Nanos = Nanos(u64::MAX);
const ALONE: Process = Process { max_in_flight: 1_000, max_buffered: 1 << 30, dependencies: 1 };

fn at(millis: u64) -> Nanos {
    START.after(Duration::from_millis(millis))
}

fn spec(max_in_flight: u32, max_queue: u32) -> Spec {
    let max_in_flight = NonZeroU32::new(max_in_flight).unwrap();
    Spec { max_in_flight, max_queue, ..Spec::default() }
}

fn build(spec: &Spec, store: &StateStore) -> Arc<Bulkhead> {
    Bulkhead::build(spec, "dependency/d", &ALONE, store)
}

fn gate(max_in_flight: u32, max_queue: u32) -> Gate<u32> {
    Gate::new(build(&spec(max_in_flight, max_queue), &StateStore::new(1)))
}

fn enter(gate: &mut Gate<u32>, name: u32, now: Nanos) -> Option<Permit> {
    match gate.enter(now, NEVER, || name) {
        Entry::In(permit) => Some(permit),
        Entry::Wait(_) => None,
        Entry::Refused(full) => panic!("{full:?}"),
    }
}

fn refusal(gate: &mut Gate<u32>, now: Nanos, deadline: Nanos) -> Option<Reason> {
    match gate.enter(now, deadline, || 0) {
        Entry::Refused(full) => Some(full.reason),
        _ => None,
    }
}

/// Who is told what, at one moment; permits are given back at once.
fn told(gate: &mut Gate<u32>, now: Nanos) -> Vec<(u32, Option<Reason>)> {
    let mut all = Vec::new();
    while let Some((name, verdict)) = gate.next(now) {
        all.push((name, verdict.err().map(|full| full.reason)));
    }
    all
}

fn refused(bulkhead: &Bulkhead, reason: Reason) -> u64 {
    bulkhead.occupied().refused[reason as usize].1
}

#[test]
fn lets_in_as_many_as_may_be_and_the_next_when_one_has_ended() {
    let bulkhead = build(&spec(2, 0), &StateStore::new(1));
    let (first, _second) = (bulkhead.try_enter().unwrap(), bulkhead.try_enter().unwrap());
    assert_eq!(bulkhead.try_enter().unwrap_err(), Full { reason: Reason::InFlight });
    drop(first);
    assert!(bulkhead.try_enter().is_ok());
    assert_eq!((bulkhead.occupied().in_flight, refused(&bulkhead, Reason::InFlight)), (1, 1));
}

#[test]
fn a_refusal_is_a_503_to_be_asked_again_after_a_second() {
    let rejection = Full { reason: Reason::Queue }.rejection();
    let retry_after = rejection.retry_after.as_secs();
    assert_eq!((rejection.status, rejection.grpc_status(), retry_after), (503, 14, 1));
    assert_eq!((rejection.error, rejection.reason), ("connection_limit_reached", "queue"));
    assert!(rejection.outcome == Outcome::ConnectionLimitReached && rejection.outcome.is_refusal());
}

#[test]
fn without_a_line_nobody_waits() {
    let mut gate = gate(1, 0);
    let _held = enter(&mut gate, 1, START).unwrap();
    assert_eq!(refusal(&mut gate, START, NEVER), Some(Reason::InFlight));
    assert_eq!(gate.look_at(START), None);
}

#[test]
fn who_waits_is_called_in_the_order_of_arrival() {
    let mut gate = gate(1, 9);
    let held = enter(&mut gate, 0, START).unwrap();
    for name in 1..=3 {
        assert!(enter(&mut gate, name, at(u64::from(name))).is_none());
    }
    assert_eq!((told(&mut gate, at(4)), gate.waiting()), (vec![], 3));
    drop(held);
    let (first, permit) = gate.next(at(5)).unwrap();
    assert_eq!((first, gate.next(at(5)).map(|(name, _)| name)), (1, None), "there was room for one");
    drop(permit);
    assert_eq!(told(&mut gate, at(6)), [(2, None), (3, None)]);
    assert_eq!(gate.bulkhead().occupied().queued, 0);
}

#[test]
fn who_comes_later_does_not_overtake_who_waits() {
    let mut gate = gate(1, 9);
    drop((enter(&mut gate, 0, START), enter(&mut gate, 1, START)));
    assert!(enter(&mut gate, 2, START).is_none(), "although there is room");
    assert_eq!(told(&mut gate, START), [(1, None), (2, None)]);
}

#[test]
fn the_line_is_bounded_over_all_workers() {
    let bulkhead = build(&spec(1, 3), &StateStore::new(2));
    let (mut one, mut other) = (Gate::new(Arc::clone(&bulkhead)), Gate::new(bulkhead));
    let held = enter(&mut one, 0, START);
    for name in [1, 2] {
        enter(&mut one, name, START);
    }
    enter(&mut other, 3, START);
    assert_eq!(refusal(&mut one, START, NEVER), Some(Reason::Queue));
    assert_eq!(refusal(&mut other, START, NEVER), Some(Reason::Queue));
    drop(one);
    assert_eq!(other.bulkhead().occupied().queued, 1, "a gate that goes takes its line along");
    assert_eq!(other.look_at(START), Some(at(5)), "the other looks for the room that is made elsewhere");
    drop(held);
    assert_eq!(told(&mut other, at(5)), [(3, None)]);
}

#[test]
fn nobody_waits_beyond_the_timeout_or_its_deadline() {
    let mut gate = gate(1, 9);
    let _held = enter(&mut gate, 0, START);
    enter(&mut gate, 1, START);
    assert!(matches!(gate.enter(START, at(30), || 2), Entry::Wait(_)));
    assert_eq!(refusal(&mut gate, START, START), Some(Reason::Timeout));
    assert_eq!(gate.look_at(at(28)), Some(at(30)));
    assert_eq!(told(&mut gate, at(29)), []);
    assert_eq!(told(&mut gate, at(30)), [(2, Some(Reason::Timeout))]);
    assert_eq!(told(&mut gate, at(100)), [(1, Some(Reason::Timeout))]);
    assert_eq!(refused(gate.bulkhead(), Reason::Timeout), 3);
}

#[test]
fn who_is_too_late_is_turned_away_before_anybody_is_called() {
    let mut gate = gate(1, 9);
    let held = enter(&mut gate, 0, START);
    let _ = gate.enter(START, at(10), || 1);
    enter(&mut gate, 2, at(5));
    drop(held);
    assert_eq!(told(&mut gate, at(10)), [(1, Some(Reason::Timeout)), (2, None)]);
}

/// A line that somebody has been standing in all the time, the oldest since `at(60)`.
fn standing() -> (Gate<u32>, Permit) {
    let patient = Spec { queue_timeout: crate::unit::Timespan::from_secs(1), ..spec(1, 9) };
    let mut gate = Gate::new(build(&patient, &StateStore::new(1)));
    let held = enter(&mut gate, 0, START).unwrap();
    let Entry::Wait(first) = gate.enter(START, NEVER, || 1) else { panic!("there is no room") };
    for (name, millis) in [(2, 60), (3, 97), (4, 99)] {
        enter(&mut gate, name, at(millis));
    }
    assert_eq!(gate.leave(first), Some(1));
    (gate, held)
}

#[test]
fn a_line_that_stands_is_served_newest_first_and_sheds_who_waited_too_long() {
    let (mut gate, held) = standing();
    drop(held);
    let (name, permit) = gate.next(at(100)).unwrap();
    assert!((name, permit.is_ok()) == (4, true));
    let mut overdue = || gate.next(at(100)).map(|(name, verdict)| (name, verdict.is_err()));
    assert_eq!([overdue(), overdue()], [Some((2, true)), None], "3 has waited for 3 ms");
    assert_eq!((gate.waiting(), refused(gate.bulkhead(), Reason::Codel)), (1, 1));
    assert_eq!(told(&mut gate, at(200)), [], "nobody is shed while nobody is served");
}

#[test]
fn a_line_that_does_not_stand_is_served_in_order_and_sheds_nobody() {
    let (mut gate, held) = standing();
    drop(held);
    assert_eq!(told(&mut gate, at(99)), [(2, None), (3, None), (4, None)]);
}

#[test]
fn a_line_that_was_empty_begins_anew() {
    let (mut gate, held) = standing();
    drop(held);
    told(&mut gate, at(99));
    let held = enter(&mut gate, 5, at(150));
    enter(&mut gate, 6, at(160));
    enter(&mut gate, 7, at(161));
    drop(held);
    assert_eq!(told(&mut gate, at(259)), [(6, None), (7, None)]);
}

#[test]
fn whoever_leaves_is_not_called() {
    let mut gate = gate(1, 9);
    let held = enter(&mut gate, 0, START);
    let Entry::Wait(ticket) = gate.enter(START, NEVER, || 1) else { panic!("there is no room") };
    enter(&mut gate, 2, START);
    assert_eq!((gate.leave(ticket), gate.leave(ticket)), (Some(1), None));
    drop(held);
    assert_eq!(told(&mut gate, START), [(2, None)]);
}

#[test]
fn a_new_policy_counts_those_whom_the_old_one_let_in() {
    let store = StateStore::new(1);
    let wide = build(&spec(3, 9), &store);
    let mut held: Vec<_> = (0..3).map(|_| wide.try_enter().unwrap()).collect();
    let narrow = build(&spec(2, 9), &store);
    assert_eq!((narrow.occupied().in_flight, narrow.occupied().saturation), (3, 1.5));
    held.pop();
    assert!(narrow.try_enter().is_err(), "two are in flight still");
    held.pop();
    assert!(narrow.try_enter().is_ok());
}

#[test]
fn who_waits_is_judged_by_the_new_policy() {
    let store = StateStore::new(1);
    let mut gate = Gate::new(build(&spec(1, 9), &store));
    let _held = enter(&mut gate, 0, START);
    for name in 1..=3 {
        enter(&mut gate, name, START);
    }
    gate.update(build(&spec(2, 9), &store));
    assert_eq!(
        gate.next(START).map(|(name, verdict)| (name, verdict.map(|p| p.is_counted()))),
        Some((1, Ok(true)))
    );
    gate.update(build(&Spec { mode: Mode::Shadow, ..spec(1, 9) }, &store));
    assert_eq!(told(&mut gate, START), [(2, None), (3, None)], "nobody waits in a rehearsal");
}

#[test]
fn a_dependency_never_has_more_than_its_share_where_there_are_others() {
    let store = StateStore::new(1);
    let bounded = |dependencies, share| {
        let process = Process { max_in_flight: 10, max_buffered: 100, dependencies };
        let spec = Spec { max_share: Percent::whole(share), ..spec(8, 0) };
        Bulkhead::build(&spec, &format!("{dependencies}/{share}"), &process, &store)
    };
    let limit = |bulkhead: &Bulkhead| (bulkhead.occupied().limit, bulkhead.occupied().max_buffered);
    assert_eq!(limit(&bounded(1, 50)), (8, 100));
    assert_eq!(limit(&bounded(2, 50)), (5, 50));
    assert_eq!(limit(&bounded(2, 90)), (8, 90));
    assert_eq!(limit(&bounded(2, 1)), (1, 1), "one at least");
    let tight = bounded(2, 1);
    let _held = tight.try_enter();
    assert_eq!(tight.try_enter().unwrap_err().reason, Reason::Share);
}

#[test]
fn bytes_are_held_up_to_the_bound_and_given_back() {
    let spec = Spec { max_buffered: Size(100), ..spec(1, 0) };
    let bulkhead = build(&spec, &StateStore::new(1));
    let (mut one, mut other) = (Arc::clone(&bulkhead).bytes(), Arc::clone(&bulkhead).bytes());
    assert!(one.grow(60).is_ok() && other.grow(40).is_ok());
    assert_eq!(one.grow(1), Err(Full { reason: Reason::Bytes }));
    one.shrink(10);
    assert!(other.grow(10).is_ok());
    assert_eq!((one.held(), bulkhead.occupied().buffered, bulkhead.occupied().saturation), (50, 100, 1.0));
    drop(one);
    other.shrink(1_000);
    drop(other);
    assert_eq!(bulkhead.occupied().buffered, 0);
}

#[test]
fn in_shadow_everybody_passes_and_is_counted_apart() {
    let store = StateStore::new(1);
    let enforced = build(&spec(1, 9), &store);
    let _held = enforced.try_enter();
    let shadow = Spec { mode: Mode::Shadow, max_buffered: Size(10), ..spec(1, 9) };
    let mut gate = Gate::new(build(&shadow, &store));
    let passed: Vec<_> = (0..3).map(|name| enter(&mut gate, name, START).unwrap()).collect();
    assert_eq!(passed.iter().filter(|permit| permit.is_counted()).count(), 1, "who is refused takes nothing");
    let bulkhead = Arc::clone(gate.bulkhead());
    let mut bytes = Arc::clone(&bulkhead).bytes();
    assert!(bytes.grow(8).is_ok() && bytes.grow(8).is_ok() && bytes.held() == 8);
    assert_eq!((refused(&bulkhead, Reason::InFlight), refused(&bulkhead, Reason::Bytes)), (2, 1));
    assert_eq!(refused(&enforced, Reason::InFlight), 0);
    drop(passed);
    assert_eq!(bulkhead.occupied().in_flight, 0);
}

#[test]
fn disabled_it_is_not_there() {
    let disabled = Spec { mode: Mode::Disabled, max_buffered: Size(1), ..spec(1, 0) };
    let bulkhead = build(&disabled, &StateStore::new(1));
    let held: Vec<_> = (0..9).map(|_| bulkhead.try_enter().unwrap()).collect();
    let mut bytes = Arc::clone(&bulkhead).bytes();
    assert!(bytes.grow(1 << 40).is_ok());
    assert_eq!((held.len(), bulkhead.occupied().in_flight, bytes.held()), (9, 0, 0));
}

#[test]
fn workers_together_are_never_more_than_may_be() {
    let bulkhead = build(&spec(7, 0), &StateStore::new(4));
    let most = std::thread::scope(|scope| {
        let work = || {
            let calls = (0..20_000).filter_map(|_| bulkhead.try_enter().ok());
            calls.map(|_permit| bulkhead.occupied().in_flight).max().unwrap_or(0)
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    });
    assert!((1..=7).contains(&most), "{most}");
    assert_eq!(bulkhead.occupied().in_flight, 0);
}
