use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn pace(count: u64, burst: u64) -> Pace {
    Pace::new(Rate::per_second(count), burst)
}

/// How many one bucket admits at one moment.
fn drain(at: &At, bucket: &mut u64) -> u64 {
    let mut admitted = 0;
    while let Ok(charge) = at.charge(*bucket, TOKEN, 0) {
        *bucket = charge.emptied;
        admitted += 1;
    }
    admitted
}

#[test]
fn grants_the_burst_then_the_rate() {
    let segment = Segment::first(1, pace(10, 5), 7);
    let mut bucket = 0;
    assert_eq!(drain(&segment.at(7), &mut bucket), 5);
    assert_eq!(drain(&segment.at(7 + SECOND / 10 - 1), &mut bucket), 0);
    assert_eq!(drain(&segment.at(7 + SECOND / 10 + 1), &mut bucket), 1);
    assert_eq!(drain(&segment.at(7 + 100 * SECOND), &mut bucket), 5, "and never more than the burst");
}

#[test]
fn a_new_burst_grants_nothing_at_once() {
    let small = Segment::first(1, pace(10, 5), 0);
    let large = small.followed_by(2, pace(10, 50), SECOND);
    let (mut fresh, mut again) = (0, 0);
    assert_eq!(drain(&large.at(SECOND), &mut fresh), 5, "an absent key holds what the old burst allowed");
    assert_eq!(drain(&large.at(3 * SECOND), &mut again), 25, "and fills up at the rate");
    assert_eq!(drain(&large.at(99 * SECOND), &mut fresh), 50);
}

#[test]
fn the_floor_is_forgotten_when_the_new_burst_is_full() {
    let large = Segment::first(1, pace(10, 5), 0).followed_by(2, pace(10, 50), SECOND);
    let full = SECOND + 45 * SECOND / 10;
    assert!((full..=full + 100).contains(&large.floor_until), "{}", large.floor_until);
}

#[test]
fn a_smaller_burst_holds_at_once_and_takes_no_more_than_it_must() {
    let large = Segment::first(1, pace(10, 50), 0);
    let mut bucket = 0;
    for _ in 0..47 {
        bucket = large.at(0).charge(bucket, TOKEN, 0).unwrap().emptied;
    }
    let mut full = 0;
    let small = large.followed_by(2, pace(10, 5), 0);
    assert_eq!(drain(&small.at(0), &mut bucket), 3, "min(left, new burst)");
    assert_eq!(drain(&small.at(0), &mut full), 5);
}

#[test]
fn there_and_back_is_no_reset() {
    let first = Segment::first(1, pace(1, 100), 0);
    let mut bucket = 0;
    assert_eq!(drain(&first.at(0), &mut bucket), 100);
    let faster = first.followed_by(2, pace(1_000_000, 100), 0);
    let back = faster.followed_by(3, pace(1, 100), 1_000);
    assert_eq!(drain(&back.at(1_000), &mut bucket), 1, "what a microsecond at a million a second grants");
    assert_eq!(drain(&back.at(1_000 + 10 * SECOND), &mut bucket), 10);
}

#[test]
fn a_slower_rate_locks_nobody_out() {
    let fast = Segment::first(1, pace(1_000, 10), 0);
    let mut bucket = 0;
    for second in 0..3600 {
        drain(&fast.at(second * SECOND), &mut bucket);
    }
    let slow = fast.followed_by(2, pace(1, 10), 3600 * SECOND);
    assert_eq!(drain(&slow.at(3605 * SECOND), &mut bucket), 10, "10 were left of the last second");
    assert_eq!(drain(&slow.at(3610 * SECOND), &mut bucket), 5);
}

#[test]
fn a_straggler_follows_the_newer_snapshot() {
    let newer = Segment::first(1, pace(10, 5), 0).followed_by(3, pace(20, 5), 0);
    assert_eq!(newer.followed_by(2, pace(10, 5), 9).pace, pace(20, 5));
    assert_eq!(newer.followed_by(4, pace(20, 5), 9).sequence, 4, "also after an equal pace");
}

#[test]
fn charges_are_taken_back_unless_forgotten() {
    let segment = Segment::first(1, pace(1, 2), 0);
    let first = segment.at(0).charge(0, TOKEN, 0).unwrap();
    assert_eq!(drain(&segment.at(0), &mut uncharge(first.emptied, first, TOKEN)), 2);
    let second = segment.at(0).charge(first.emptied, TOKEN, 0).unwrap();
    assert_eq!(drain(&segment.at(0), &mut uncharge(second.emptied, first, TOKEN)), 1);
    // Full again long since: the next charge has forgotten the first, which must not be granted twice.
    let mut bucket = second.emptied;
    let full = segment.at(9 * SECOND + 12_345);
    assert_eq!(drain(&full, &mut bucket), 2);
    assert_eq!(drain(&full, &mut uncharge(bucket, first, TOKEN)), 0);
}

#[test]
fn works_across_the_wrap_of_levels() {
    let rate = Rate::per_second(Rate::MAX_PER_SECOND);
    let segment = Segment::first(1, Pace::new(rate, 1_000), 0);
    let mut bucket = 0;
    let day = 86_400 * SECOND;
    for days in 0..80 {
        let at = segment.at(days * day);
        assert_eq!(drain(&at, &mut bucket), 1_000, "day {days}");
        if at.is_idle(bucket) {
            bucket = at.untouched();
        }
    }
}

proptest! {
    #[test]
    fn the_wait_is_exact(count in 1u64..5_000, burst in 1u64..20, start in 0u64..SECOND, ahead in 1u64..20) {
        let segment = Segment::first(1, pace(count, burst), start);
        let now = start + 1;
        let mut bucket = 0;
        drain(&segment.at(now), &mut bucket);
        for _ in 1..ahead {
            bucket = segment.at(now).charge(bucket, TOKEN, u64::MAX).unwrap().emptied;
        }
        let wait = segment.at(now).charge(bucket, TOKEN, 0).unwrap_err();
        prop_assert!(segment.at(now + wait).charge(bucket, TOKEN, 0).is_ok());
        prop_assert!(segment.at(now + wait - 1).charge(bucket, TOKEN, 0).is_err());
        prop_assert_eq!(segment.at(now).charge(bucket, TOKEN, wait).unwrap().wait, wait);
        prop_assert_eq!(segment.at(now).charge(bucket, TOKEN, wait - 1), Err(wait));
    }

    #[test]
    fn an_idle_bucket_is_as_an_absent_one(count in 1u64..5_000, burst in 1u64..50, taken in 0u64..50, later in 0u64..5 * SECOND) {
        let segment = Segment::first(1, pace(count, burst), 0);
        let mut bucket = 0;
        for _ in 0..taken.min(burst) {
            bucket = segment.at(0).charge(bucket, TOKEN, 0).unwrap().emptied;
        }
        let at = segment.at(later);
        let mut absent = 0;
        prop_assert_eq!(at.is_idle(bucket), at.nanos_until_full(bucket) == 0);
        if at.is_idle(bucket) {
            prop_assert_eq!(drain(&at, &mut bucket), drain(&at, &mut absent));
        }
    }
}
