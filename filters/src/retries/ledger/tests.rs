use super::*;

const SECOND: Duration = Duration::from_secs(1);
const PRICE: Option<Duration> = Some(SECOND);
const START: Nanos = Nanos(77_000_000_000);

fn at(millis: u64) -> Nanos {
    START.after(Duration::from_millis(millis))
}

/// How many can be paid for and are spent.
fn spend(ledger: &Ledger, price: Option<Duration>, now: Nanos) -> usize {
    std::iter::from_fn(|| ledger.pay(price, now)).map(|paid| ledger.keep(paid)).count()
}

#[test]
fn begins_with_ten_seconds_of_the_floor_and_gets_one_more_each_second() {
    let ledger = Ledger::default();
    assert_eq!((ledger.balance(PRICE, START), spend(&ledger, PRICE, START)), (10, 10));
    assert_eq!((ledger.balance(PRICE, at(999)), spend(&ledger, PRICE, at(999))), (0, 0));
    assert_eq!(spend(&ledger, PRICE, at(1_000)), 1);
    assert_eq!(spend(&ledger, PRICE, at(60_000)), 10, "never more than ten seconds of it");
}

#[test]
fn ten_requests_pay_for_a_retry_for_ten_seconds() {
    let ledger = Ledger::default();
    (0..25).for_each(|n| ledger.credit(WHOLE / 10, at(n * 100)));
    assert_eq!((ledger.balance(None, at(2_500)), spend(&ledger, None, at(2_500))), (2, 2));
    (0..9).for_each(|_| ledger.credit(WHOLE / 10, at(2_600)));
    assert_eq!(spend(&ledger, None, at(9_000)), 1, "with what was left over");
    (0..10).for_each(|_| ledger.credit(WHOLE / 10, at(3_000)));
    assert_eq!(ledger.balance(None, at(12_999)), 1);
    assert_eq!((ledger.balance(None, at(13_000)), spend(&ledger, None, at(13_000))), (0, 0));
}

#[test]
fn what_cannot_pay_a_whole_retry_stays_as_it_was() {
    let ledger = Ledger::default();
    (0..9).for_each(|n| ledger.credit(WHOLE / 10, at(n * 1_000)));
    assert_eq!(spend(&ledger, None, at(8_000)), 0);
    ledger.credit(WHOLE / 10, at(9_000));
    assert_eq!(spend(&ledger, None, at(9_000)), 1);
}

#[test]
fn what_is_paid_back_is_there_again_and_lives_no_longer() {
    let ledger = Ledger::default();
    (0..10).for_each(|_| ledger.credit(WHOLE / 10, at(0)));
    let paid = ledger.pay(None, at(9_000)).unwrap();
    assert!(ledger.pay(None, at(9_000)).is_none());
    ledger.pay_back(paid);
    assert_eq!(ledger.balance(None, at(9_999)), 1);
    assert_eq!(ledger.balance(None, at(10_000)), 0);
}

#[test]
fn paying_back_late_makes_no_more_than_there_ever_was() {
    let ledger = Ledger::default();
    let early = ledger.pay(PRICE, at(0)).unwrap();
    // The bucket would be full again by now, were its place not kept.
    assert_eq!(spend(&ledger, PRICE, at(5_000)), 9);
    ledger.pay_back(early);
    assert_eq!(spend(&ledger, PRICE, at(5_000)), 1);
    assert_eq!(spend(&ledger, PRICE, at(5_999)), 0);
}

#[test]
fn another_floor_takes_hold_of_what_is_left() {
    let ledger = Ledger::default();
    let tenth = Some(SECOND / 10);
    assert_eq!(spend(&ledger, PRICE, START), 10);
    assert_eq!(spend(&ledger, tenth, START), 0, "a larger one refills nothing");
    assert_eq!(spend(&ledger, tenth, at(500)), 5);
    assert_eq!((spend(&ledger, None, at(9_000)), ledger.balance(None, at(9_000))), (0, 0));
}

#[test]
fn brakes_when_more_than_half_of_enough_fail() {
    let ledger = Ledger::default();
    let end = |failed: bool, times: usize, now| (0..times).for_each(|_| ledger.ended(failed, now));
    end(true, 9, at(0));
    assert!(!ledger.is_braked(at(0)), "too few to judge");
    end(false, 9, at(3_000));
    assert!(!ledger.is_braked(at(3_000)), "half is not more than half");
    end(true, 1, at(3_000));
    assert!(ledger.is_braked(at(9_000)));
    assert!(!ledger.is_braked(at(10_000)), "what is ten seconds ago is forgotten");
}

#[test]
fn with_the_brake_on_one_a_second_passes() {
    let ledger = Ledger::default();
    let passed = (0..5_000).filter(|millis| ledger.probe(at(*millis))).count();
    assert_eq!(passed, 5);
}

#[test]
fn a_second_with_more_ends_than_fit_keeps_its_ratio() {
    let ledger = Ledger::default();
    (0..200_000).for_each(|n| ledger.ended(n % 4 != 0, START));
    assert!(ledger.is_braked(START));
    assert_eq!(ledger.ends.live(Second::of(START)).count(), 1, "and did not spill over");
}

#[test]
fn workers_together_never_pay_more_than_there_is() {
    for _ in 0..50 {
        let ledger = Ledger::default();
        (0..30).for_each(|_| ledger.credit(WHOLE / 3 + 1, START));
        let spent: usize = std::thread::scope(|scope| {
            let pay = |_| {
                scope.spawn(|| {
                    (0..20).filter_map(|_| ledger.pay(PRICE, START)).map(|p| ledger.keep(p)).count()
                })
            };
            let threads: Vec<_> = (0..4).map(pay).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let all = spent + spend(&ledger, PRICE, START);
        // Who pays at the same moment as others may count them twice: a little less is possible, never more.
        assert!((20 - 3..=20).contains(&all), "{all}");
    }
}
