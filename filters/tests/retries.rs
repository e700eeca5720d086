//! What retries may cost, over schedules nobody thought of.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests are tests")]

mod support;

use std::time::Duration;

use http::Method;
use outrigger_filters::clock::Nanos;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::retries::{
    Attempt, Backoff, Budget, Condition, Decision, Original, Retries, Spec, Token,
};
use outrigger_filters::state::StateStore;
use outrigger_filters::unit::{Percent, Timespan};
use proptest::prelude::*;
use support::{Dice, SECOND};

const OWNER: &str = "dependency/d";

fn spec(ratio: u32, floor: u32) -> Spec {
    let budget = Budget { ratio: Percent::whole(ratio), min_per_second: floor };
    Spec { budget, attempts: 5, ..Spec::default() }
}

fn original(method: &Method) -> Original<'_> {
    Original { method, keyed: false, is_retry: false }
}

/// Any end of an attempt, also such as do not fit together.
fn any_end(dice: &mut Dice) -> Attempt {
    let outcome = Outcome::ALL[dice.roll(Outcome::ALL.len() as u64) as usize];
    let status =
        [None, Some(200), Some(404), Some(429), Some(500), Some(502), Some(503)][dice.roll(7) as usize];
    let retry_after = [None, Some(Duration::ZERO), Some(SECOND), Some(SECOND * 40)][dice.roll(4) as usize];
    let mut coin = || dice.roll(2) == 0;
    let (sent, stale, elsewhere, replayable) = (coin(), coin(), coin(), coin());
    Attempt { stale, elsewhere, replayable, retry_after, ..Attempt::new(outcome, status, sent) }
}

proptest! {
    // The promise to a dependency that is down, whoever asks for how much.
    #[test]
    fn in_total_failure_attempts_are_requests_and_a_tenth_and_the_floor(
        floor in 0u32..20,
        steps in prop::collection::vec((0u64..400_000_000, 1usize..40), 1..80),
    ) {
        let store = StateStore::new(1);
        let retries = Retries::build(Some(&spec(10, floor)), OWNER, &store);
        let (mut now, start) = (Nanos(3), Nanos(3));
        let (mut requests, mut attempts) = (0u64, 0u64);
        let failed = Attempt::new(Outcome::Upstream5xx, Some(503), true);
        for (wait, burst) in steps {
            now = now.after(Duration::from_nanos(wait));
            for _ in 0..burst {
                requests += 1;
                let mut call = retries.begin(&original(&Method::GET), now);
                loop {
                    attempts += 1;
                    match retries.decide(&mut call, &failed, SECOND, now, 7) {
                        Decision::Retry { token, .. } => token.spent(),
                        Decision::No(_) => break,
                    }
                }
            }
            let floor = f64::from(floor) * (10.0 + now.since(start).as_secs_f64());
            prop_assert!(attempts as f64 <= 1.1 * requests as f64 + floor, "{attempts} of {requests}");
        }
    }

    #[test]
    fn waits_fit_the_deadline_and_the_bound(
        base in 1u64..2_000, more in 0u64..20_000, remaining in 0u64..60_000, seed: u64, draw: u64,
    ) {
        let backoff = Backoff { base: Timespan::from_millis(base), max: Timespan::from_millis(base + more) };
        let written = Spec { backoff, when: vec![Condition::Status(429), Condition::Status(503)], ..spec(100, 1_000) };
        let retries = Retries::build(Some(&written), OWNER, &StateStore::new(1));
        let mut call = retries.begin(&original(&Method::GET), Nanos(0));
        let (mut dice, remaining) = (Dice(seed), Duration::from_millis(remaining));
        for _ in 0..5 {
            let ended = any_end(&mut dice);
            if let Decision::Retry { after, .. } = retries.decide(&mut call, &ended, remaining, Nanos(0), draw) {
                prop_assert!(after + Duration::from_millis(10) <= remaining, "{after:?} of {remaining:?}");
                let asked = ended.retry_after.filter(|_| ended.status.is_some() && !after.is_zero());
                let throttled = ended.status == Some(429) || (ended.status == Some(503) && asked.is_some());
                prop_assert!(throttled || after <= backoff.max.0, "{after:?}");
                prop_assert!(!throttled || asked.is_none_or(|asked| after >= asked));
            }
        }
    }
}

#[test]
fn a_write_that_may_have_run_is_never_run_again() {
    let mut dice = Dice(11);
    let store = StateStore::new(1);
    let unsafe_methods = [Method::POST, Method::PATCH, Method::PUT, Method::DELETE, Method::CONNECT];
    for round in 0..200_000u64 {
        let retries = Retries::build(Some(&spec(100, 1_000)), OWNER, &store);
        let now = Nanos(round * 10_000_000);
        let method = &unsafe_methods[dice.roll(5) as usize];
        let mut call = retries.begin(&original(method), now);
        for _ in 0..6 {
            let ended = any_end(&mut dice);
            if let Decision::Retry { token, .. } =
                retries.decide(&mut call, &ended, SECOND * 60, now, dice.roll(u64::MAX))
            {
                token.spent();
                assert!(!ended.sent, "{method} after {ended:?}");
                assert!(ended.replayable);
            }
        }
    }
}

/// Requests, retries that are sent, retries that are not, sooner or later, time and changes of policy: the money is
/// always all there, and never more.
#[test]
fn the_budget_is_conserved_over_any_schedule() {
    for seed in 0..3_000 {
        let mut dice = Dice(seed);
        let store = StateStore::new(1);
        let mut floor = 1 + dice.roll(5) as u32;
        let mut retries = Retries::build(Some(&spec(10, floor)), OWNER, &store);
        let (mut now, mut out): (Nanos, Vec<Token>) = (Nanos(1), Vec::new());
        let (mut requests, mut spent, mut most_floor) = (Vec::new(), 0u64, floor);
        for _ in 0..150 {
            match dice.roll(10) {
                0 => now = now.after(Duration::from_millis(dice.roll(4_000))),
                1 => {
                    floor = 1 + dice.roll(5) as u32;
                    most_floor = most_floor.max(floor);
                    retries = Retries::build(Some(&spec(10, floor)), OWNER, &store);
                }
                2 if !out.is_empty() => {
                    out.swap_remove(dice.roll(out.len() as u64) as usize).spent();
                    spent += 1;
                }
                3 | 4 if !out.is_empty() => drop(out.swap_remove(dice.roll(out.len() as u64) as usize)),
                _ => {
                    let mut call = retries.begin(&original(&Method::GET), now);
                    requests.push(now);
                    // Good ends keep the brake off, so that it is the budget which is tried.
                    for _ in 0..3 {
                        let fine = Attempt::new(Outcome::Ok, Some(200), true);
                        let _ = retries.decide(&mut retries.begin(&replayed(), now), &fine, SECOND, now, 0);
                    }
                    let failed = Attempt::new(Outcome::ConnectionTerminated, None, true);
                    if let Decision::Retry { token, .. } = retries.decide(&mut call, &failed, SECOND, now, 0)
                    {
                        out.push(token);
                    }
                }
            }
            let live = requests.iter().filter(|at| now.since(**at) <= SECOND * 10).count() as u64;
            let cap = u64::from(floor) * 10 + live / 10;
            assert!(retries.balance(now) <= cap, "seed {seed}: {} of {cap}", retries.balance(now));
            let earned = f64::from(most_floor) * (10.0 + now.since(Nanos(1)).as_secs_f64());
            let all = (spent + out.len() as u64) as f64;
            assert!(all <= earned + requests.len() as f64 / 10.0 + 1e-6, "seed {seed}: {all}");
        }
        let later = now.after(SECOND * 20);
        drop(out);
        assert_eq!(retries.balance(later), u64::from(floor) * 10, "seed {seed}: nothing is lost for good");
    }
}

/// A request that credits nothing.
fn replayed() -> Original<'static> {
    Original { method: &Method::GET, keyed: false, is_retry: true }
}
