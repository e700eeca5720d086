//! How long to wait: full jitter, so that callers who failed together do not come back together.

use std::time::Duration;

use super::knobs::Knobs;
use super::{Attempt, LONGEST_WAIT, SHORTEST_ATTEMPT};

/// The longest wait before the first retry of a throttled call that was not told how long.
const THROTTLE_BASE: Duration = Duration::from_secs(1);

/// How much of `remaining` can be spent waiting, if what is then left is enough for an attempt.
pub(super) fn room(attempt: &Attempt, remaining: Duration) -> Option<Duration> {
    remaining.checked_sub(attempt.usual.max(SHORTEST_ATTEMPT))
}

/// The wait before retry number `retry` (the first is 1), of at most `room`; `draw` is uniform. `None` if the upstream
/// asks for more than there is, or than anybody waits.
pub(super) fn wait(
    knobs: &Knobs,
    attempt: &Attempt,
    retry: u32,
    room: Duration,
    draw: u64,
) -> Option<Duration> {
    if !attempt.is_throttled() {
        return Some(share(doubled(knobs.base, retry).min(knobs.max).min(room), draw));
    }
    let Some(asked) = attempt.retry_after else {
        return Some(share(doubled(THROTTLE_BASE, retry).min(LONGEST_WAIT).min(room), draw));
    };
    if asked > LONGEST_WAIT {
        return None;
    }
    let spare = room.checked_sub(asked)?;
    Some(asked.saturating_add(share(knobs.max.min(spare), draw)))
}

fn doubled(base: Duration, retry: u32) -> Duration {
    base.saturating_mul(1u32.checked_shl(retry.saturating_sub(1)).unwrap_or(u32::MAX))
}

/// A part of `span`: all but nothing of it for the greatest draw, nothing for the least.
fn share(span: Duration, draw: u64) -> Duration {
    let nanos = span.as_nanos().saturating_mul(u128::from(draw)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::retries::Spec;

    const MS: Duration = Duration::from_millis(1);
    const PLENTY: Duration = Duration::from_secs(600);

    fn after(attempt: &Attempt, retry: u32, room: Duration, draw: u64) -> Option<Duration> {
        wait(&Knobs::new(&Spec::default()), attempt, retry, room, draw)
    }

    fn answer(status: u16, retry_after: Option<u64>) -> Attempt {
        let retry_after = retry_after.map(Duration::from_secs);
        Attempt { retry_after, ..Attempt::new(Outcome::Upstream5xx, Some(status), true) }
    }

    fn longest(attempt: &Attempt, retry: u32, room: Duration) -> u128 {
        after(attempt, retry, room, u64::MAX).unwrap().as_micros().div_ceil(1_000)
    }

    #[test]
    fn doubles_from_base_to_max_with_full_jitter() {
        let failed = answer(503, None);
        assert_eq!(
            [1, 2, 3, 4, 5, 99].map(|retry| longest(&failed, retry, PLENTY)),
            [25, 50, 100, 200, 250, 250]
        );
        assert_eq!(after(&failed, 4, PLENTY, 0), Some(Duration::ZERO));
        assert_eq!(after(&failed, 4, PLENTY, 1 << 63), Some(100 * MS));
    }

    #[test]
    fn never_sleeps_past_the_room_there_is() {
        assert_eq!(longest(&answer(502, None), 5, 40 * MS), 40);
        assert_eq!(longest(&answer(429, None), 1, 40 * MS), 40);
        assert_eq!(after(&answer(429, None), 1, Duration::ZERO, u64::MAX), Some(Duration::ZERO));
    }

    #[test]
    fn a_throttled_call_waits_as_long_as_it_was_told_or_not_at_all() {
        let told = answer(503, Some(2));
        assert_eq!(after(&told, 1, PLENTY, 0), Some(2_000 * MS));
        assert_eq!(longest(&told, 1, PLENTY), 2_250, "and a little more, so that not all come back at once");
        assert_eq!(longest(&told, 1, 2_100 * MS), 2_100);
        assert_eq!(after(&told, 1, 1_999 * MS, 0), None);
        assert_eq!(after(&answer(429, Some(31)), 1, PLENTY, 0), None);
    }

    #[test]
    fn a_throttled_call_that_was_told_nothing_waits_by_the_second() {
        assert_eq!(
            [1, 2, 6, 9].map(|retry| longest(&answer(429, None), retry, PLENTY)),
            [1_000, 2_000, 30_000, 30_000]
        );
    }

    #[test]
    fn an_attempt_needs_ten_milliseconds_or_what_it_usually_takes() {
        let usual = Attempt { usual: 80 * MS, ..answer(503, None) };
        assert_eq!(room(&answer(503, None), 9 * MS), None);
        assert_eq!(room(&answer(503, None), 10 * MS), Some(Duration::ZERO));
        assert_eq!((room(&usual, 79 * MS), room(&usual, 100 * MS)), (None, Some(20 * MS)));
    }
}
