//! Any interleaving of calls, ends, drops, waits, reloads and switches: nothing leaks, nothing is stuck.
//!
//! `PROPTEST_CASES=2000` runs more than a million steps; without it there are about 150,000.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests are tests")]

#[path = "support/breaker.rs"]
mod support;

use std::time::Duration;

use outrigger_filters::circuit_breaker::{Breaker, Forced, Permit, Spec, State};
use outrigger_filters::clock::{Clock, ManualClock};
use outrigger_filters::evidence::Ended;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::state::StateStore;
use outrigger_filters::unit::{Percent, Timespan};
use proptest::prelude::*;
use support::{OWNER, Rig, TOTAL};

#[derive(Clone, Debug)]
enum Step {
    Acquire { draw: u32, critical: bool },
    Answer(usize),
    Settle(usize, Outcome, Option<u64>),
    Drop(usize),
    Pass(u64),
    Tick,
    Reload(Spec),
    Force(Option<Forced>),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Ok),
        4 => Just(Outcome::Upstream5xx),
        2 => prop::sample::select(Outcome::ALL),
    ];
    let forced = prop_oneof![8 => Just(None), 1 => Just(Some(Forced::Open)), 1 => Just(Some(Forced::Closed))];
    prop_oneof![
        40 => (any::<u32>(), any::<bool>()).prop_map(|(draw, critical)| Step::Acquire { draw, critical }),
        8 => any::<usize>().prop_map(Step::Answer),
        24 => (any::<usize>(), outcome, prop::option::weighted(0.1, 0u64..200))
            .prop_map(|(which, outcome, retry_after)| Step::Settle(which, outcome, retry_after)),
        5 => any::<usize>().prop_map(Step::Drop),
        20 => prop_oneof![3 => 0u64..300, 2 => 300u64..3_000, 1 => 3_000u64..90_000].prop_map(Step::Pass),
        5 => Just(Step::Tick),
        2 => spec().prop_map(Step::Reload),
        1 => forced.prop_map(Step::Force),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    let ramp = prop::sample::subsequence(vec![1, 10, 20, 40, 80, 100], 0..=6);
    let spans = (1u64..60, 1u64..60, 1u64..120, 1u64..60_000);
    (spans, 1u32..40, (1u32..101, 1u32..101), 1u32..6, 1u32..10, ramp).prop_map(
        |((window, open_for, more, slow), min_requests, (failed, slow_ratio), probes, consecutive, ramp)| {
            Spec {
                window: Timespan::from_secs(window),
                min_requests,
                failure_ratio: Percent::whole(failed),
                slow_ratio: Percent::whole(slow_ratio),
                slow_threshold: (slow > 1_000).then_some(Timespan::from_millis(slow)),
                open_for: Timespan::from_secs(open_for),
                max_open_for: Timespan::from_secs(open_for + more),
                probes,
                ramp: ramp.into_iter().map(Percent::whole).collect(),
                consecutive,
                ..Spec::default()
            }
        },
    )
}

/// The breaker, and who holds what of it.
struct World {
    rig: Rig,
    held: Vec<Permit>,
    number: u64,
}

impl World {
    fn take(&mut self, which: usize) -> Option<Permit> {
        if self.held.is_empty() { None } else { Some(self.held.swap_remove(which % self.held.len())) }
    }

    fn run(&mut self, step: Step) {
        let now = self.rig.now();
        match step {
            Step::Acquire { draw, critical } => self.acquire(draw, critical),
            Step::Answer(which) => {
                let count = self.held.len().max(1);
                if let Some(permit) = self.held.get_mut(which % count) {
                    permit.answered(now);
                }
            }
            Step::Settle(which, outcome, retry_after) => {
                if let Some(permit) = self.take(which) {
                    let retry_after = retry_after.map(Duration::from_secs);
                    permit.settle(Ended { retry_after, ..Ended::new(outcome) }, now);
                }
            }
            Step::Drop(which) => drop(self.take(which)),
            Step::Pass(millis) => self.rig.pass(millis),
            Step::Tick => self.rig.breaker.tick(now),
            Step::Reload(spec) => self.rig.reload(&spec),
            Step::Force(forced) => self.rig.breaker.force(forced, now),
        }
    }

    /// What is let through fits the state that is shown.
    fn acquire(&mut self, draw: u32, critical: bool) {
        let before = self.rig.see();
        let peeked = self.rig.breaker.peek(self.rig.now());
        match self.rig.breaker.acquire(self.rig.now(), draw, critical) {
            Ok(permit) => {
                assert!(peeked.is_ok() && !matches!(before.state, State::Open | State::ForcedOpen));
                assert_eq!(permit.is_probe(), before.state == State::HalfOpen);
                self.held.push(permit);
            }
            Err(rejection) => {
                assert!(!matches!(before.state, State::Closed | State::ForcedClosed), "{before:?}");
                assert_eq!(peeked.is_err(), before.state != State::Ramp);
                assert_eq!(rejection.reason, before.state.label());
                assert!(rejection.retry_after <= Duration::from_secs(3_600));
            }
        }
    }

    fn check(&mut self) {
        let seen = self.rig.see();
        assert_eq!(seen.in_flight as usize, self.held.len());
        assert!(seen.stalled <= seen.in_flight && seen.failed <= seen.total && seen.slow <= seen.total);
        let probes = self.held.iter().filter(|permit| permit.is_probe()).count();
        assert!(seen.probes as usize <= probes.min(5), "{seen:?}");
        assert_eq!(seen.next_probe.is_some(), seen.state == State::Open);
        for change in self.rig.breaker.changes_after(self.number) {
            assert_eq!(change.number, self.number + 1);
            assert!(is_lawful(change.from, change.to), "{change:?}");
            self.number = change.number;
        }
    }

    /// Whatever happened: without a force, with an upstream that works and callers, it closes; also while old calls
    /// still hang.
    fn heals(&mut self) {
        self.rig.breaker.force(None, self.rig.now());
        let mut waited = 0;
        while self.rig.state() != State::Closed {
            assert!(waited < 400, "stuck: {:?}", self.rig.see());
            waited += 1;
            for draw in 0..20 {
                let permit = self.rig.breaker.acquire(self.rig.now(), draw << 28, false);
                permit.into_iter().for_each(|permit| permit.settle(Ended::new(Outcome::Ok), self.rig.now()));
            }
            self.rig.pass(1_000);
        }
        self.held.clear();
        let seen = self.rig.see();
        assert_eq!((seen.in_flight, seen.stalled, seen.probes), (0, 0, 0));
    }
}

const fn is_lawful(from: State, to: State) -> bool {
    use State::{Closed, ForcedClosed, ForcedOpen, HalfOpen, Open, Ramp};
    matches!(
        (from, to),
        (Closed | Ramp | HalfOpen, Open)
            | (Open, HalfOpen)
            | (HalfOpen, Ramp | Closed)
            | (Ramp, Closed)
            | (_, ForcedOpen | ForcedClosed)
            | (ForcedOpen, HalfOpen)
            | (ForcedClosed, Closed)
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_leaks_and_nothing_is_stuck(spec in spec(), steps in prop::collection::vec(step(), 400..800)) {
        let mut world = World { rig: Rig::new(&spec), held: Vec::new(), number: 0 };
        for step in steps {
            world.run(step);
            world.check();
        }
        world.heals();
    }
}

/// One of several threads: acquires, holds a few, ends them one way or another.
fn caller(breaker: &std::sync::Arc<Breaker>, clock: &ManualClock, thread: u32) {
    let mut held = Vec::new();
    for call in 0..20_000u32 {
        clock.advance(Duration::from_micros(700));
        held.extend(breaker.acquire(clock.now(), call.wrapping_mul(0x9E37_79B9), call % 7 == 0).ok());
        if held.len() > 6 || call % 3 == thread % 3 {
            let Some(permit): Option<Permit> = held.pop() else { continue };
            match call / 4_000 {
                phase if phase % 2 == 1 && call % 5 != 0 => {
                    permit.settle(Ended::new(Outcome::Upstream5xx), clock.now());
                }
                _ if call % 11 == 0 => drop(permit),
                _ => permit.settle(Ended::new(Outcome::Ok), clock.now()),
            }
        }
    }
}

#[test]
fn threads_leak_nothing_and_leave_nothing_stuck() {
    let store = StateStore::new(4);
    let spec =
        Spec { open_for: Timespan::from_secs(1), max_open_for: Timespan::from_secs(2), ..Spec::default() };
    let breaker = spec.build(OWNER, TOTAL, &store).unwrap();
    let clock = ManualClock::default();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (breaker, clock) = (&breaker, &clock);
            scope.spawn(move || caller(breaker, clock, thread));
        }
    });
    let seen = breaker.snapshot(clock.now());
    assert_eq!((seen.in_flight, seen.stalled, seen.probes), (0, 0, 0), "{seen:?}");
    assert!(breaker.counts(clock.now()).transitions.len() >= 3, "it went through its states");
    let mut world = World { rig: Rig { clock, store, breaker }, held: Vec::new(), number: 0 };
    world.heals();
}
