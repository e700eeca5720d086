//! What a circuit breaker does, state by state.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests are tests")]

#[path = "support/breaker.rs"]
mod support;

use std::time::Duration;

use outrigger_filters::circuit_breaker::{Spec, State};
use outrigger_filters::evidence::Ended;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::unit::Percent;
use support::Rig;

fn rig() -> Rig {
    Rig::new(&Spec::default())
}

#[test]
fn opens_when_half_of_the_calls_fail() {
    let rig = rig();
    for _ in 0..9 {
        rig.calls(1, Outcome::Upstream5xx);
        rig.calls(1, Outcome::Ok);
    }
    rig.calls(1, Outcome::Ok);
    assert_eq!(rig.state(), State::Closed, "nine of nineteen");
    rig.calls(1, Outcome::HttpProtocolError);
    let seen = rig.see();
    assert_eq!(
        (seen.state, seen.reason.as_str()),
        (State::Open, "10 of 20 calls failed in 10s (failure_ratio 50%)")
    );
    assert_eq!(seen.total, 0, "what was counted belongs to the past");
}

#[test]
fn the_window_forgets() {
    let rig = rig();
    rig.calls(19, Outcome::Ok);
    rig.calls(4, Outcome::Upstream5xx);
    rig.pass(10_000);
    assert_eq!(rig.see().total, 0);
    rig.calls(19, Outcome::Ok);
    rig.calls(18, Outcome::Upstream5xx);
    assert_eq!(rig.state(), State::Closed, "18 of 37");
}

#[test]
fn opens_when_four_fifths_are_slow() {
    let rig = rig();
    // One after the other, so that none hangs beside others.
    for _ in 0..20 {
        let permit = rig.acquire().unwrap();
        rig.pass(1_001);
        permit.settle(Ended::new(Outcome::Ok), rig.now());
    }
    assert_eq!(rig.state(), State::Closed, "ten in the window");
    let rig = Rig::new(&Spec { min_requests: 8, ..Spec::default() });
    for _ in 0..8 {
        let permit = rig.acquire().unwrap();
        rig.pass(1_001);
        permit.settle(Ended::new(Outcome::Ok), rig.now());
    }
    let seen = rig.see();
    assert_eq!(seen.reason, "8 of 8 calls took more than 1s in 10s (slow_ratio 80%)");
}

#[test]
fn a_slow_reader_of_the_answer_makes_nobody_slow() {
    let rig = Rig::new(&Spec { min_requests: 1, ..Spec::default() });
    let mut permits = rig.hang(30);
    rig.pass(10);
    permits.iter_mut().for_each(|permit| permit.answered(rig.now()));
    rig.pass(60_000);
    assert_eq!((rig.see().stalled, rig.see().in_flight), (0, 30));
    permits.into_iter().for_each(|permit| permit.settle(Ended::new(Outcome::Ok), rig.now()));
    assert_eq!((rig.state(), rig.see().slow, rig.see().in_flight), (State::Closed, 0, 0));
}

#[test]
fn opens_after_five_connections_in_a_row_that_did_not_come_about() {
    let rig = rig();
    rig.calls(100, Outcome::Ok);
    rig.calls(4, Outcome::ConnectionRefused);
    rig.calls(1, Outcome::Upstream5xx);
    rig.calls(4, Outcome::TlsProtocolError);
    assert_eq!(rig.state(), State::Closed);
    rig.calls(1, Outcome::ConnectionTimeout);
    assert_eq!(rig.see().reason, "5 connections in a row failed");
}

#[test]
fn where_calls_are_few_five_failures_in_a_row_open_it() {
    let rig = rig();
    let fail_slowly = |count| {
        for _ in 0..count {
            rig.calls(1, Outcome::Upstream5xx);
            rig.pass(8_000);
        }
    };
    fail_slowly(4);
    rig.calls(1, Outcome::Ok);
    fail_slowly(4);
    assert_eq!(rig.state(), State::Closed);
    fail_slowly(1);
    assert_eq!(rig.breaker.changes_after(0)[0].reason.to_string(), "5 calls in a row failed (consecutive 5)");
}

#[test]
fn throttling_refusals_of_ours_and_callers_who_leave_open_nothing() {
    let rig = Rig::new(&Spec { min_requests: 1, ..Spec::default() });
    for _ in 0..50 {
        rig.call(Ended::with_status(Outcome::ClientError, 429));
        let retry_after = Some(Duration::from_secs(1));
        rig.call(Ended { retry_after, ..Ended::with_status(Outcome::Upstream5xx, 503) });
        rig.call(Ended::with_status(Outcome::Upstream5xx, 501));
        rig.calls(1, Outcome::RateLimited);
        rig.calls(1, Outcome::ConnectionLimitReached);
        rig.calls(1, Outcome::ClientCancelled);
        drop(rig.acquire().unwrap());
    }
    let seen = rig.see();
    assert_eq!((seen.state, seen.in_flight, seen.failed), (State::Closed, 0, 0));
    assert_eq!(seen.total, 50, "those of 501");
}

#[test]
fn callers_who_leave_late_count_as_slow() {
    let rig = Rig::new(&Spec { min_requests: 5, ..Spec::default() });
    let permits = rig.hang(5);
    rig.pass(1_001);
    permits.into_iter().for_each(|permit| permit.settle(Ended::new(Outcome::ClientCancelled), rig.now()));
    assert!(rig.see().reason.starts_with("5 of 5 calls took more than 1s"), "{}", rig.see().reason);
}

#[test]
fn open_it_refuses_and_says_until_when() {
    let rig = rig();
    rig.trip();
    let rejection = rig.acquire().unwrap_err();
    assert_eq!((rejection.filter, rejection.reason), ("circuit_breaker", "open"));
    assert_eq!((rejection.status, rejection.error), (503, "destination_unavailable"));
    assert_eq!(rejection.outcome, Outcome::DestinationUnavailable);
    assert!((4_000..=6_000).contains(&rejection.retry_after.as_millis()), "{:?}", rejection.retry_after);
    rig.pass(1_000);
    let later = rig.breaker.peek(rig.now()).unwrap_err();
    assert_eq!(later.retry_after, rejection.retry_after - Duration::from_secs(1));
    assert_eq!(rig.breaker.counts(rig.now()).refused, 2);
    assert_eq!(rig.breaker.counts(rig.now()).open, Duration::from_secs(1));
}

#[test]
fn what_the_upstream_asks_for_is_the_least_it_stays_open_and_a_minute_the_most_it_may_ask() {
    for (asked, least, most) in [(30, 30_000, 30_000), (1, 4_000, 6_000), (900, 60_000, 60_000)] {
        let rig = rig();
        let retry_after = Some(Duration::from_secs(asked));
        rig.call(Ended { retry_after, ..Ended::with_status(Outcome::Upstream5xx, 503) });
        rig.trip();
        let wait = rig.acquire().unwrap_err().retry_after.as_millis();
        assert!((least..=most).contains(&wait), "{wait} after {asked}");
    }
}

#[test]
fn half_open_it_lets_three_at_once_try() {
    let rig = rig();
    rig.trip();
    rig.wait_for_probes();
    let probes = rig.hang(3);
    assert!(
        probes.iter().all(|probe| probe.is_probe() && probe.time_limit() == Some(Duration::from_secs(1)))
    );
    assert!(rig.breaker.peek(rig.now()).is_err());
    assert_eq!(rig.acquire().unwrap_err().reason, "half_open");
    drop(probes);
    assert_eq!(rig.breaker.counts(rig.now()).probes_neutral, 3);
    let again = rig.hang(3);
    again.into_iter().for_each(|probe| probe.settle(Ended::new(Outcome::Ok), rig.now()));
    assert_eq!((rig.state(), rig.see().reason.as_str()), (State::Ramp, "3 of 3 probes succeeded"));
}

#[test]
fn a_throttled_a_slow_and_a_failed_probe_fail() {
    let rig = rig();
    rig.trip();
    rig.wait_for_probes();
    rig.calls(2, Outcome::Ok);
    rig.call(Ended::with_status(Outcome::ClientError, 429));
    let slow = rig.acquire().unwrap();
    rig.pass(1_001);
    slow.settle(Ended::new(Outcome::Ok), rig.now());
    assert_eq!(rig.state(), State::HalfOpen);
    rig.calls(1, Outcome::ConnectionTerminated);
    assert_eq!((rig.state(), rig.see().reason.as_str()), (State::Open, "3 of 5 probes failed"));
    assert_eq!(rig.breaker.counts(rig.now()).probes_failed, 3);
}

#[test]
fn probes_that_hang_fail_without_ending() {
    let rig = rig();
    rig.trip();
    rig.wait_for_probes();
    let hung = rig.hang(3);
    rig.pass(1_001);
    rig.breaker.tick(rig.now());
    assert_eq!((rig.state(), rig.see().reason.as_str()), (State::Open, "3 of 3 probes failed"));
    // They end well at last, when nobody waits for their verdict any more.
    hung.into_iter().for_each(|probe| probe.settle(Ended::new(Outcome::Ok), rig.now()));
    assert_eq!((rig.state(), rig.see().in_flight), (State::Open, 0));
}

#[test]
fn each_relapse_doubles_the_wait_up_to_the_longest() {
    let rig = rig();
    rig.trip();
    for seconds in [5, 10, 20, 40, 60, 60] {
        let wait = rig.acquire().unwrap_err().retry_after.as_millis();
        assert!((seconds * 800..=seconds * 1_200).contains(&wait), "{wait} for {seconds}");
        rig.wait_for_probes();
        rig.calls(3, Outcome::Upstream5xx);
    }
}

#[test]
fn only_successes_take_back_a_doubling() {
    for (successes, least, most) in [(19, 8_000, 12_000), (20, 4_000, 6_000)] {
        let rig = rig();
        rig.trip();
        rig.recover();
        rig.pass(3_600_000);
        rig.calls(successes, Outcome::Ok);
        rig.pass(60_000);
        rig.trip();
        let wait = rig.acquire().unwrap_err().retry_after.as_millis();
        assert!((least..=most).contains(&wait), "{wait} after {successes}");
    }
}

#[test]
fn on_the_ramp_no_more_than_its_share_passes() {
    let rig = rig();
    rig.trip();
    rig.wait_for_probes();
    rig.probe_well();
    for (second, percent) in [10usize, 20, 40, 80, 100].into_iter().enumerate() {
        assert_eq!(rig.see().admits, Percent::whole(percent as u32), "second {second}");
        let mut passed = 0;
        for call in 0..1_000u32 {
            let draw = call.wrapping_mul(0x9E37_79B9);
            let critical = call % 10 == 0;
            if let Ok(permit) = rig.breaker.acquire(rig.now(), draw, critical) {
                permit.settle(Ended::new(Outcome::Ok), rig.now());
                passed += 1;
            }
            assert!(passed * 100 <= (call as usize + 1) * percent + 100, "{passed} of {call}");
            rig.pass(1);
        }
        assert!(passed * 100 >= 1_000 * percent * 9 / 10, "{passed} at {percent}%");
    }
    let seen = rig.see();
    assert_eq!((seen.state, seen.reason.as_str()), (State::Closed, "the ramp was passed without a relapse"));
}

#[test]
fn a_relapse_on_the_ramp_needs_few_calls() {
    let rig = rig();
    rig.trip();
    rig.wait_for_probes();
    rig.probe_well();
    let critical = || rig.breaker.acquire(rig.now(), 0, true);
    let mut failed = 0;
    while rig.state() == State::Ramp {
        if let Ok(permit) = critical() {
            permit.settle(Ended::new(Outcome::Upstream5xx), rig.now());
            failed += 1;
        }
    }
    assert_eq!((rig.state(), failed), (State::Open, 5));
    let wait = rig.acquire().unwrap_err().retry_after.as_millis();
    assert!((8_000..=12_000).contains(&wait), "{wait}");
}

#[test]
fn without_a_ramp_it_closes_at_once() {
    let rig = Rig::new(&Spec { ramp: Vec::new(), ..Spec::default() });
    rig.trip();
    rig.wait_for_probes();
    rig.calls(3, Outcome::Ok);
    assert_eq!(rig.state(), State::Closed);
}

#[test]
fn every_change_is_counted_and_told_once() {
    let rig = rig();
    rig.trip();
    rig.recover();
    let changes = rig.breaker.changes_after(0);
    let told: Vec<_> = changes.iter().map(|change| (change.number, change.from, change.to)).collect();
    assert_eq!(
        told,
        [
            (1, State::Closed, State::Open),
            (2, State::Open, State::HalfOpen),
            (3, State::HalfOpen, State::Ramp),
            (4, State::Ramp, State::Closed)
        ]
    );
    assert_eq!(rig.breaker.changes_after(3).len(), 1);
    let transitions = rig.breaker.counts(rig.now()).transitions;
    assert_eq!(transitions.iter().map(|series| series.count).sum::<u64>(), 4);
    assert_eq!((transitions[0].reason, transitions[3].reason), ("consecutive", "ramped"));
}
