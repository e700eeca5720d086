//! Balancing: which endpoint of a dependency takes the next call.
//!
//! **Decides** between two endpoints drawn at random (power of two choices): the one with the lower score takes the
//! call. Looking at all of many would send every caller to the same one; of four or fewer all are looked at, since two
//! bad ones of three would otherwise be drawn together in a third of the cases. By `p2c_ewma` an endpoint scores
//!
//! ```text
//! peak EWMA of the time to the head · (calls in flight + 1) / (1 − share of failures)²
//! ```
//!
//! A time that is longer counts at once, a shorter one slowly (over ten seconds), and both fade while no call is made, so
//! that an endpoint that was slow is tried again. Failures are no answers that were fast: their time does not count unless
//! it was long, and their share, by a tenth each, makes the endpoint ever less likely. By `least_request` only calls in
//! flight count, by `round_robin` nothing does.
//!
//! **State**: each worker's own, of each endpoint, for as long as the endpoint is known.
//!
//! **Cost**: two scores a call where there are several endpoints, an exponential each; nothing where there is one.
//!
//! Sources: M. Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing*, 2001; Finagle, `PeakEwma`.

use std::cell::Cell;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Nanos;
use crate::evidence::{Ended, Score, evidence};

/// Over how long times and failures fade.
const FADES: Duration = Duration::from_secs(10);

/// Of so many endpoints all are compared.
const FEW: usize = 4;

/// How much one call changes the share of failures.
const WEIGHT: f64 = 0.1;

/// Which endpoint takes the next call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Balance", deny_unknown_fields, default)]
#[schemars(rename = "Balance")]
pub struct Spec {
    /// By what. Default `p2c_ewma`.
    pub by: By,
}

/// By what endpoints are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The better of two, by time, calls in flight and failures.
    #[default]
    P2cEwma,
    /// The better of two, by calls in flight.
    LeastRequest,
    /// In turn.
    RoundRobin,
}

/// What one worker knows of one endpoint. Not shared between threads.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: Cell<u32>,
    /// Seconds; zero as long as nothing is known.
    time: Cell<f64>,
    failing: Cell<f64>,
    learned: Cell<Nanos>,
}

impl Load {
    /// A call begins.
    #[inline]
    pub fn begin(&self) {
        self.in_flight.set(self.in_flight.get().saturating_add(1));
    }

    /// A call is over, whatever came of it.
    #[inline]
    pub fn end(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }

    /// An attempt ended so; `took` is the time to the head of the answer, or to the failure.
    pub fn learn(&self, ended: Ended, took: Duration, now: Nanos) {
        let (failed, time) = match evidence(ended, false).balancer {
            Score::Nothing => return,
            Score::Measured => (0.0, took),
            // It may be fast because it failed: only what was long counts.
            Score::AtLeast(_) => (1.0, took.max(Duration::from_secs_f64(self.time.get().max(0.0)))),
        };
        let fade = self.fade(now);
        let (known, new) = (self.time.get() * fade, time.as_secs_f64());
        self.time.set(if new >= known { new } else { known * fade + new * (1.0 - fade) });
        self.failing.set(self.failing.get() * fade * (1.0 - WEIGHT) + failed * WEIGHT);
        self.learned.set(now);
    }

    /// The lower, the better.
    #[must_use]
    pub fn score(&self, by: By, now: Nanos) -> f64 {
        let calls = f64::from(self.in_flight.get()) + 1.0;
        match by {
            By::RoundRobin => 0.0,
            By::LeastRequest => calls,
            By::P2cEwma => {
                let fade = self.fade(now);
                let works = (1.0 - self.failing.get() * fade).max(0.01);
                // Nothing known: as good as the fastest, so that it becomes known.
                (self.time.get() * fade).max(1e-6) * calls / (works * works)
            }
        }
    }

    /// What share of what was learned still counts.
    fn fade(&self, now: Nanos) -> f64 {
        (-now.since(self.learned.get()).as_secs_f64() / FADES.as_secs_f64()).exp()
    }
}

/// Chooses among `loads`. `turn` counts the choices, `draw` is random; endpoints that `avoid` names are taken only if
/// there are no others. None if there are no endpoints.
#[must_use]
pub fn choose<'a>(
    by: By,
    loads: &dyn Fn(usize) -> Option<&'a Load>,
    count: usize,
    (turn, draw): (usize, u64),
    now: Nanos,
    avoid: &dyn Fn(usize) -> bool,
) -> Option<usize> {
    let allowed = (0..count).filter(|at| !avoid(*at)).count();
    // All are to be avoided: then none is.
    let is_open = |at: &usize| allowed == 0 || !avoid(*at);
    let open = if allowed == 0 { count } else { allowed };
    let nth = |nth: usize| (0..count).filter(is_open).nth(nth);
    let modulus = |number: u64| number.checked_rem(open as u64).and_then(|at| usize::try_from(at).ok());
    if by == By::RoundRobin || open == 1 {
        return nth(turn.checked_rem(open)?);
    }
    let first = modulus(draw >> 32)?;
    if open <= FEW {
        // Beginning anywhere, so that equals get equal shares.
        let all = (0..open).filter_map(|step| nth(first.saturating_add(step).checked_rem(open)?));
        let scored = all.filter_map(|at| Some((at, loads(at)?.score(by, now))));
        return scored.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at);
    }
    // Another one.
    let step = (draw & 0xffff_ffff).checked_rem((open as u64).checked_sub(1)?)?.saturating_add(1);
    let second = modulus((first as u64).saturating_add(step))?;
    let (first, second) = (nth(first)?, nth(second)?);
    let better = loads(second)?.score(by, now) < loads(first)?.score(by, now);
    Some(if better { second } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    const fn at(millis: u64) -> Nanos {
        Nanos(millis * 1_000_000)
    }

    /// Random enough, and the same each time.
    fn draws() -> impl Iterator<Item = u64> {
        let mut state = 7_u64;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ (state >> 29)
        })
    }

    /// What share of `calls`, a millisecond apart, each endpoint gets if it behaves as `answer` says.
    fn shares(
        by: By,
        loads: &[Load],
        from: u64,
        calls: u64,
        answer: &dyn Fn(usize) -> (Outcome, u64),
    ) -> Vec<f64> {
        let mut counts = vec![0.0; loads.len()];
        for (n, draw) in (0..calls).zip(draws()) {
            let now = at(from + n);
            let chosen =
                choose(by, &|at| loads.get(at), loads.len(), (n as usize, draw), now, &|_| false).unwrap();
            counts[chosen] += 1.0 / calls as f64;
            let (outcome, took) = answer(chosen);
            loads[chosen].learn(Ended::new(outcome), Duration::from_millis(took), now);
        }
        counts
    }

    fn three() -> Vec<Load> {
        std::iter::repeat_with(Load::default).take(3).collect()
    }

    #[test]
    fn equals_get_equal_shares() {
        for by in [By::P2cEwma, By::LeastRequest, By::RoundRobin] {
            let loads = three();
            let shares = shares(by, &loads, 0, 3_000, &|_| (Outcome::Ok, 5));
            assert!(shares.iter().all(|share| (0.28..0.39).contains(share)), "{by:?}: {shares:?}");
        }
    }

    #[test]
    fn avoids_one_that_is_slow_and_one_that_fails_fast() {
        let loads = three();
        let answer = |at: usize| match at {
            0 => (Outcome::Ok, 5),
            1 => (Outcome::Ok, 500),
            _ => (Outcome::Upstream5xx, 1),
        };
        shares(By::P2cEwma, &loads, 0, 1_000, &answer);
        let later = shares(By::P2cEwma, &loads, 1_000, 3_000, &answer);
        assert!(later[0] > 0.95, "{later:?}");
    }

    #[test]
    fn of_many_endpoints_the_bad_ones_get_little() {
        let loads: Vec<_> = std::iter::repeat_with(Load::default).take(20).collect();
        let answer = |at: usize| if at < 2 { (Outcome::Ok, 500) } else { (Outcome::Ok, 5) };
        shares(By::P2cEwma, &loads, 0, 1_000, &answer);
        let later = shares(By::P2cEwma, &loads, 1_000, 3_000, &answer);
        assert!(later[..2].iter().all(|share| *share < 0.01), "{later:?}");
        assert!(later[2..].iter().all(|share| *share > 0.02), "{later:?}");
    }

    #[test]
    fn one_failure_among_many_successes_changes_little() {
        let loads = [Load::default(), Load::default()];
        shares(By::P2cEwma, &loads, 0, 500, &|_| (Outcome::Ok, 5));
        loads[0].learn(Ended::new(Outcome::Upstream5xx), Duration::from_millis(5), at(500));
        let scores = [0, 1].map(|n: usize| loads[n].score(By::P2cEwma, at(501)));
        assert!(scores[0] > scores[1] && scores[0] < 1.5 * scores[1], "{scores:?}");
    }

    #[test]
    fn comes_back_to_one_that_was_slow_or_failing() {
        let loads = [Load::default(), Load::default()];
        shares(By::P2cEwma, &loads, 0, 500, &|at| {
            if at == 0 { (Outcome::Ok, 5) } else { (Outcome::Upstream5xx, 80) }
        });
        let before = loads[1].score(By::P2cEwma, at(500));
        assert!(before > loads[0].score(By::P2cEwma, at(500)));
        let later = shares(By::P2cEwma, &loads, 60_000, 2_000, &|_| (Outcome::Ok, 5));
        assert!(later[1] > 0.2, "{later:?}");
    }

    #[test]
    fn calls_in_flight_weigh() {
        let loads = [Load::default(), Load::default()];
        loads[0].begin();
        for by in [By::P2cEwma, By::LeastRequest] {
            for draw in draws().take(20) {
                let chosen = choose(by, &|at| loads.get(at), 2, (0, draw), at(1), &|_| false);
                assert_eq!(chosen, Some(1));
            }
        }
        loads[0].end();
        assert_eq!(loads[0].score(By::LeastRequest, at(1)), 1.0);
    }

    #[test]
    fn goes_elsewhere_if_there_is_an_elsewhere() {
        let loads = three();
        for by in [By::P2cEwma, By::LeastRequest, By::RoundRobin] {
            for (turn, draw) in draws().take(50).enumerate() {
                let choose = |count, avoid: &dyn Fn(usize) -> bool| {
                    choose(by, &|at| loads.get(at), count, (turn, draw), at(1), avoid)
                };
                assert_eq!(choose(3, &|at| at != 1), Some(1));
                assert!(choose(3, &|at| at == 1).is_some_and(|at| at != 1));
                assert!(choose(3, &|_| true).is_some());
                assert_eq!(choose(1, &|_| true), Some(0));
                assert_eq!(choose(0, &|_| false), None);
            }
        }
    }
}
