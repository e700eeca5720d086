use std::time::Duration;

use http::Method;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::outcome::Outcome;
use crate::unit::Percent;

const PLENTY: Duration = Duration::from_secs(10);

/// One request after the other, on a clock that stands still until it is moved.
struct Bench {
    store: StateStore,
    clock: ManualClock,
    retries: Retries,
}

impl Bench {
    fn new(spec: &Spec) -> Self {
        let store = StateStore::new(1);
        let retries = Retries::build(Some(spec), "dependency/d", &store);
        let clock = ManualClock::default();
        clock.advance(Duration::from_secs(100));
        Self { store, clock, retries }
    }

    fn begin(&self, method: &Method) -> Call {
        self.retries.begin(&Original { method, keyed: false, is_retry: false }, self.clock.now())
    }

    fn decide(&self, call: &mut Call, attempt: &Attempt) -> Decision {
        self.retries.decide(call, attempt, PLENTY, self.clock.now(), u64::MAX)
    }

    /// What becomes of a request of which every attempt ends so.
    fn run(&self, mut call: Call, attempt: &Attempt) -> (u32, Reason) {
        for retries in 0..9 {
            match self.decide(&mut call, attempt) {
                Decision::Retry { token, .. } => token.spent(),
                Decision::No(reason) => return (retries, reason),
            }
        }
        unreachable!("five attempts are the most")
    }

    fn fail(&self, method: &Method, attempt: &Attempt) -> (u32, Reason) {
        self.run(self.begin(method), attempt)
    }

    fn counted(&self, label: &str) -> u64 {
        self.retries.counted().find(|(known, _)| *known == label).unwrap().1
    }

    fn reload(&mut self, spec: &Spec) {
        self.retries = Retries::build(Some(spec), "dependency/d", &self.store);
    }
}

fn bench() -> Bench {
    Bench::new(&Spec::default())
}

const fn answered(status: u16) -> Attempt {
    let outcome = if status < 400 {
        Outcome::Ok
    } else if status < 500 {
        Outcome::ClientError
    } else {
        Outcome::Upstream5xx
    };
    Attempt::new(outcome, Some(status), true)
}

const RESET: Attempt = Attempt::new(Outcome::ConnectionTerminated, None, true);
const REFUSED: Attempt = Attempt::new(Outcome::ConnectionRefused, None, false);

#[test]
fn attempts_count_the_first() {
    assert_eq!(bench().fail(&Method::GET, &answered(503)), (2, Reason::Exhausted));
    let spec = Spec { attempts: 5, ..Spec::default() };
    assert_eq!(Bench::new(&spec).fail(&Method::GET, &answered(503)), (4, Reason::Exhausted));
    let spec = Spec { attempts: 1, ..Spec::default() };
    assert_eq!(Bench::new(&spec).fail(&Method::GET, &answered(503)), (0, Reason::Off));
}

#[test]
fn retries_upon_what_is_named_and_nothing_else() {
    let timeout = Attempt::new(Outcome::HttpResponseTimeout, None, true);
    for ended in [answered(502), answered(503), answered(504), RESET, timeout, REFUSED] {
        assert_eq!(bench().fail(&Method::GET, &ended).0, 2, "{ended:?}");
    }
    for ended in [answered(500), answered(501), answered(429)] {
        assert_eq!(bench().fail(&Method::GET, &ended).0, 0, "{ended:?}");
    }
    let named = Spec { when: vec![Condition::Status(500), Condition::Status(429)], ..Spec::default() };
    for (ended, retries) in [(answered(500), 2), (answered(429), 2), (answered(502), 0), (RESET, 0)] {
        assert_eq!(Bench::new(&named).fail(&Method::GET, &ended).0, retries, "{ended:?}");
    }
}

#[test]
fn what_is_no_failure_needs_none_and_is_not_counted() {
    let bench = bench();
    for status in [200, 204, 301, 400, 404, 501] {
        assert_eq!(bench.fail(&Method::GET, &answered(status)), (0, Reason::Unneeded), "{status}");
    }
    assert_eq!(bench.retries.counted().map(|(_, count)| count).sum::<u64>(), 0);
}

#[test]
fn our_own_refusals_and_callers_who_leave_are_never_retried_and_brake_nothing() {
    let bench = bench();
    for outcome in Outcome::ALL {
        if outcome.is_refusal() || *outcome == Outcome::ClientCancelled {
            for sent in [true, false] {
                let ended = Attempt { stale: true, ..Attempt::new(*outcome, None, sent) };
                assert_eq!(bench.fail(&Method::GET, &ended), (0, Reason::NotEligible), "{outcome:?}");
            }
        }
    }
    assert!(!bench.retries.is_braked(bench.clock.now()));
}

#[test]
fn what_may_have_run_is_repeated_only_if_that_does_no_harm() {
    for ended in [answered(503), RESET, Attempt::new(Outcome::HttpResponseTimeout, None, true)] {
        for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
            assert_eq!(bench().fail(&method, &ended), (0, Reason::NotIdempotent), "{method}");
        }
        let bench = bench();
        let keyed = Original { method: &Method::POST, keyed: true, is_retry: false };
        let call = bench.retries.begin(&keyed, bench.clock.now());
        assert_eq!(bench.run(call, &ended).0, 2);
        let declared = Spec { idempotent: true, ..Spec::default() };
        assert_eq!(Bench::new(&declared).fail(&Method::POST, &ended).0, 2);
        let listed = Spec { methods: vec!["PUT".into()], ..Spec::default() };
        assert_eq!(Bench::new(&listed).fail(&Method::PUT, &ended).0, 2);
        assert_eq!(Bench::new(&listed).fail(&Method::GET, &ended).0, 0);
    }
}

#[test]
fn what_never_left_is_sent_once_more_for_nothing_whatever_the_method() {
    let bench = bench();
    let mut call = bench.begin(&Method::POST);
    let elsewhere = Attempt { elsewhere: true, ..REFUSED };
    let Decision::Retry { after, token, elsewhere: other } = bench.decide(&mut call, &elsewhere) else {
        panic!("refused")
    };
    assert!(after.is_zero() && token.is_free() && other && call.previous() == 0);
    assert_eq!(bench.retries.balance(bench.clock.now()), 10);
    assert_eq!(bench.run(call, &elsewhere).0, 2, "and then on the budget");
    assert_eq!((bench.retries.balance(bench.clock.now()), bench.counted("unsent")), (8, 1));
}

#[test]
fn the_free_retry_needs_another_way_to_go() {
    let bench = bench();
    let free = |attempt: Attempt| {
        let retry = bench.decide(&mut bench.begin(&Method::GET), &attempt);
        matches!(retry, Decision::Retry { token, .. } if token.is_free())
    };
    let stale = Attempt { stale: true, ..Attempt::new(Outcome::ConnectionTerminated, None, false) };
    assert!(free(stale) && free(Attempt { elsewhere: true, ..REFUSED }));
    assert!(!free(REFUSED), "the only endpoint has just refused");
    assert!(!free(Attempt { replayable: false, ..stale }) && !free(Attempt { sent: true, ..stale }));
    let shed = Attempt { sent: false, elsewhere: true, ..answered(503) };
    assert!(!free(shed), "a next hop that sheds is not helped by an attempt at once");
    assert!(matches!(bench.decide(&mut bench.begin(&Method::POST), &shed), Decision::Retry { .. }));
}

#[test]
fn a_stale_connection_is_retried_for_nothing_even_where_no_block_is_written() {
    let store = StateStore::new(1);
    let retries = Retries::build(None, "dependency/d", &store);
    let original = Original { method: &Method::POST, keyed: false, is_retry: true };
    let mut call = retries.begin(&original, Nanos(0));
    let stale = Attempt { stale: true, ..Attempt::new(Outcome::ConnectionTerminated, None, false) };
    let mut decide = || retries.decide(&mut call, &stale, PLENTY, Nanos(0), 0);
    assert!(matches!(decide(), Decision::Retry { elsewhere: false, .. }));
    assert!(matches!(decide(), Decision::No(Reason::Off)));
    assert_eq!((retries.replay(&call), retries.mode()), (0, Mode::Disabled));
}

#[test]
fn somebodys_retry_is_not_retried_and_credits_nothing() {
    let bench = bench();
    let again = Original { method: &Method::GET, keyed: false, is_retry: true };
    for _ in 0..100 {
        let call = bench.retries.begin(&again, bench.clock.now());
        assert_eq!(bench.retries.replay(&call), 0);
        assert_eq!(bench.run(call, &answered(503)), (0, Reason::LayerAbove));
    }
    assert_eq!(bench.retries.balance(bench.clock.now()), 10);
}

#[test]
fn a_body_that_was_not_kept_ends_it() {
    let gone = Attempt { replayable: false, ..answered(503) };
    assert_eq!(bench().fail(&Method::GET, &gone), (0, Reason::BodyTooLarge));
    let bench = bench();
    assert_eq!(bench.retries.replay(&bench.begin(&Method::GET)), 64 << 10);
    assert_eq!(bench.retries.replay(&bench.begin(&Method::POST)), 64 << 10, "nobody may have seen it");
}

#[test]
fn an_answer_may_forbid_it() {
    let forbidden = Attempt { no_retry: true, ..answered(503) };
    assert_eq!(bench().fail(&Method::GET, &forbidden), (0, Reason::Forbidden));
    assert!(Reason::Forbidden.is_final_for_callers() && !Reason::NotIdempotent.is_final_for_callers());
}

#[test]
fn nothing_begins_that_the_deadline_would_cut_off() {
    let bench = bench();
    let mut call = bench.begin(&Method::GET);
    let mut left = |attempt: Attempt, millis| {
        bench.retries.decide(&mut call, &attempt, Duration::from_millis(millis), bench.clock.now(), u64::MAX)
    };
    assert!(matches!(left(answered(503), 9), Decision::No(Reason::Deadline)));
    let Decision::Retry { after, .. } = left(answered(503), 15) else { panic!("refused") };
    assert!(after <= Duration::from_millis(5), "{after:?}");
    let told = Attempt { retry_after: Some(Duration::from_secs(1)), ..answered(503) };
    assert!(matches!(left(Attempt { outcome: Outcome::Upstream5xx, ..told }, 1_009), Decision::No(_)));
    assert_eq!(bench.retries.balance(bench.clock.now()), 10, "and nothing was paid");
}

#[test]
fn a_retry_is_paid_for_before_its_wait() {
    let bench = bench();
    let waiting: Vec<_> =
        (0..30).map(|_| bench.decide(&mut bench.begin(&Method::GET), &answered(503))).collect();
    let granted = waiting.iter().filter(|decision| matches!(decision, Decision::Retry { .. })).count();
    // Ten of the floor, and one for every ten requests; then most have failed and the brake is on.
    assert!(granted <= 13, "{granted}");
    drop(waiting);
    assert_eq!(bench.retries.balance(bench.clock.now()), 13, "those that were not sent are paid back");
}

#[test]
fn when_the_budget_is_spent_the_answer_stands() {
    let bench = bench();
    // Successes keep the brake off; each brings no more than its tenth.
    for _ in 0..1_000 {
        assert_eq!(bench.fail(&Method::GET, &answered(200)), (0, Reason::Unneeded));
    }
    let failed: Vec<_> = (0..100).map(|_| bench.fail(&Method::GET, &answered(503))).collect();
    let retries: u32 = failed.iter().map(|(retries, _)| retries).sum();
    assert_eq!((u64::from(retries), bench.counted("retried")), (10 + 110, 120));
    assert_eq!(failed[95..99], [(0, Reason::NoBudget); 4]);
}

#[test]
fn in_an_outage_one_retry_a_second_tells_whether_it_is_over() {
    let bench = bench();
    for _ in 0..100 {
        bench.fail(&Method::GET, &answered(503));
    }
    let before = bench.counted("retried");
    for _ in 0..5_000 {
        bench.clock.advance(Duration::from_millis(1));
        assert!(matches!(bench.fail(&Method::GET, &answered(503)).1, Reason::Brake | Reason::NoBudget));
    }
    let probes = bench.counted("retried") - before;
    assert!((4..=6).contains(&probes), "{probes}");
    for _ in 0..6_000 {
        bench.fail(&Method::GET, &answered(200));
    }
    assert_eq!(bench.fail(&Method::GET, &answered(503)).0, 2, "and then it is over");
}

#[test]
fn what_says_nothing_of_the_dependency_puts_no_brake_on() {
    let stale = Attempt { stale: true, ..Attempt::new(Outcome::ConnectionTerminated, None, false) };
    let told = Attempt { retry_after: Some(Duration::from_secs(1)), ..answered(503) };
    let braked = |ended: Attempt| {
        let bench = bench();
        (0..30).for_each(|_| drop(bench.decide(&mut bench.begin(&Method::GET), &ended)));
        bench.retries.is_braked(bench.clock.now())
    };
    assert!(!braked(stale) && !braked(told) && !braked(answered(429)));
    assert!(braked(REFUSED) && braked(RESET) && braked(answered(503)) && braked(answered(500)));
    assert!(braked(Attempt { outcome: Outcome::GrpcError, ..answered(200) }));
}

#[test]
fn what_a_retry_saved_is_counted() {
    let bench = bench();
    let mut call = bench.begin(&Method::GET);
    let Decision::Retry { token, .. } = bench.decide(&mut call, &RESET) else { panic!("refused") };
    token.spent();
    assert_eq!(call.previous(), 1);
    assert!(matches!(bench.decide(&mut call, &answered(200)), Decision::No(Reason::Unneeded)));
    assert_eq!((bench.counted("retried"), bench.counted("recovered")), (1, 1));
}

#[test]
fn in_shadow_it_is_counted_and_not_done() {
    let bench = Bench::new(&Spec { mode: Mode::Shadow, ..Spec::default() });
    for _ in 0..9 {
        assert_eq!(bench.fail(&Method::GET, &answered(503)), (0, Reason::Shadow));
    }
    assert_eq!((bench.counted("shadow"), bench.counted("retried")), (9, 0));
    assert_eq!(bench.retries.balance(bench.clock.now()), 1, "on a budget of its own");
    assert_eq!(bench.retries.replay(&bench.begin(&Method::GET)), 0);
}

#[test]
fn a_new_policy_goes_on_with_the_old_budget() {
    let mut bench = bench();
    for _ in 0..3 {
        bench.fail(&Method::GET, &answered(503));
    }
    assert_eq!(bench.retries.balance(bench.clock.now()), 4);
    let generous = Budget { ratio: Percent::whole(50), min_per_second: 1 };
    bench.reload(&Spec { budget: generous, attempts: 5, ..Spec::default() });
    assert_eq!(bench.retries.balance(bench.clock.now()), 4);
    assert_eq!(bench.counted("retried"), 6);
    let other = Retries::build(Some(&Spec::default()), "dependency/other", &bench.store);
    assert_eq!(other.balance(bench.clock.now()), 10);
}
