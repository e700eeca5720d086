//! When to open: each of the rules, on the counts of one moment.

use std::time::Duration;

use super::reason::Reason;
use super::spec::Spec;
use super::window::Tally;
use crate::unit::Percent;

/// So many connections in a row that do not come about need no ratio.
const UNREACHABLE_RUN: u32 = 5;
/// Fewer hung calls are not judged.
const STALLED: u64 = 10;
/// On the ramp the upstream is under suspicion and calls are few: this many are enough for any rule.
const ON_THE_RAMP: u64 = 5;

/// The first rule that says to open.
pub(super) fn trip(tally: &Tally, spec: &Spec, threshold: Duration, ramping: bool) -> Option<Reason> {
    let floor = |most: u64| if ramping { most.min(ON_THE_RAMP) } else { most };
    stalled(tally, spec, threshold, floor(STALLED))
        .or_else(|| ratios(tally, spec, threshold, floor(u64::from(spec.min_requests))))
        .or_else(|| in_a_row(tally, spec, ramping))
}

/// Calls that hang count before they end. Only those old enough to be judged are compared, with those that ended in
/// the same time, so good times before do not delay it.
fn stalled(tally: &Tally, spec: &Spec, threshold: Duration, least: u64) -> Option<Reason> {
    let slow = tally.stalled.saturating_add(tally.recent_slow);
    let all = tally.stalled.saturating_add(tally.recent);
    let trips = tally.stalled >= least && reaches(slow, all, spec.slow_ratio);
    trips.then_some(Reason::Stalled { calls: tally.stalled, threshold })
}

fn ratios(tally: &Tally, spec: &Spec, threshold: Duration, least: u64) -> Option<Reason> {
    let Tally { total, failed, slow, .. } = *tally;
    let window = spec.window.0;
    if total < least {
        return None;
    }
    if reaches(failed, total, spec.failure_ratio) {
        return Some(Reason::FailureRatio { failed, total, window, limit: spec.failure_ratio });
    }
    let trips = reaches(slow, total, spec.slow_ratio);
    trips.then_some(Reason::SlowRatio { slow, total, window, limit: spec.slow_ratio, threshold })
}

fn in_a_row(tally: &Tally, spec: &Spec, ramping: bool) -> Option<Reason> {
    if tally.unreachable_run >= UNREACHABLE_RUN {
        return Some(Reason::Unreachable { calls: tally.unreachable_run });
    }
    let trips = tally.failure_run >= spec.consecutive && (tally.is_quiet || ramping);
    trips.then_some(Reason::Consecutive { calls: tally.failure_run, limit: spec.consecutive })
}

/// Whether `part` is that share of `whole`, or more, and not nothing.
fn reaches(part: u64, whole: u64, share: Percent) -> bool {
    let whole = u128::from(whole) * u128::from(share.millionths);
    part > 0 && u128::from(part) * u128::from(Percent::WHOLE.millionths) >= whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn label(tally: Tally, ramping: bool) -> Option<&'static str> {
        trip(&tally, &Spec::default(), SECOND, ramping).map(Reason::label)
    }

    #[test]
    fn ratios_are_judged_from_min_requests_on() {
        let tally = |total, failed, slow| Tally { total, failed, slow, ..Tally::default() };
        assert_eq!(label(tally(19, 19, 19), false), None);
        assert_eq!(label(tally(20, 9, 15), false), None);
        assert_eq!(label(tally(20, 10, 0), false), Some("failure_ratio"));
        assert_eq!(label(tally(20, 0, 16), false), Some("slow_ratio"));
        assert_eq!(label(tally(5, 3, 0), true), Some("failure_ratio"), "sooner on the ramp");
    }

    #[test]
    fn calls_that_hang_are_compared_with_those_that_ended_meanwhile() {
        let tally = |stalled, recent, recent_slow| Tally { stalled, recent, recent_slow, ..Tally::default() };
        assert_eq!(label(tally(9, 0, 0), false), None);
        assert_eq!(label(tally(10, 0, 0), false), Some("stalled"));
        assert_eq!(label(tally(10, 3, 0), false), None, "ten of thirteen");
        assert_eq!(label(tally(10, 3, 1), false), Some("stalled"), "eleven of thirteen");
        assert_eq!(label(tally(5, 0, 0), true), Some("stalled"));
    }

    #[test]
    fn runs_of_failures_count_where_calls_are_few() {
        let run = |failure_run, is_quiet| Tally { failure_run, is_quiet, ..Tally::default() };
        assert_eq!(label(run(4, true), false), None);
        assert_eq!(label(run(5, true), false), Some("consecutive"));
        assert_eq!(label(run(5, false), false), None);
        assert_eq!(label(Tally { unreachable_run: 5, ..run(5, false) }, false), Some("unreachable"));
    }

    #[test]
    fn nothing_trips_on_nothing() {
        assert_eq!(label(Tally::default(), true), None);
    }
}
