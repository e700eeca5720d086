//! B's calls of many short windows, and the medians over them.

use crate::drills::load::{Call, quantile_ms};
use crate::stats::{median, spread};

/// What B's callers saw under one trouble, window by window.
#[derive(Debug, Default)]
pub(super) struct Windows {
    p50: Vec<f64>,
    p99: Vec<f64>,
    pub(super) calls: usize,
    /// Errors and refusals, in words.
    pub(super) bad: Vec<String>,
}

impl Windows {
    pub(super) fn add(&mut self, calls: &[Call]) {
        self.p50.push(quantile_ms(calls, 0.5));
        self.p99.push(quantile_ms(calls, 0.99));
        self.calls += calls.len();
        self.only_bad(calls);
    }

    /// Calls that count only where they failed.
    pub(super) fn only_bad(&mut self, calls: &[Call]) {
        self.bad.extend(calls.iter().filter(|call| !call.good()).map(Call::told));
    }

    /// Median over the windows, in ms.
    pub(super) fn p50(&self) -> f64 {
        median(self.p50.iter().copied())
    }

    /// Median over the windows, in ms.
    pub(super) fn p99(&self) -> f64 {
        median(self.p99.iter().copied())
    }

    /// What the p99 may be at most beside one of this: 5 % more or 1 ms more, whichever is more, above the noise.
    pub(super) fn most(&self, noise: f64) -> f64 {
        let p99 = self.p99();
        p99 + (p99 * 0.05).max(1.0) + noise
    }
}

/// What the p99 of the same load differs by from window to window, in ms: what nobody can tell from a rise. The largest
/// of these loads' own.
pub(super) fn noise<'a>(of: impl IntoIterator<Item = &'a Windows>) -> f64 {
    of.into_iter().map(|windows| spread(&windows.p99)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(p99: Vec<f64>) -> Windows {
        Windows { p99, ..Windows::default() }
    }

    #[test]
    fn allows_a_millisecond_or_a_twentieth_whichever_is_more_above_the_noise() {
        assert!((windows(vec![9.0, 2.0, 1.0]).most(0.0) - 3.0).abs() < 1e-9);
        assert!((windows(vec![100.0]).most(0.0) - 105.0).abs() < 1e-9);
        assert!((windows(vec![2.0]).most(0.5) - 3.5).abs() < 1e-9);
    }

    #[test]
    fn noise_is_that_of_the_load_that_has_most() {
        let (calm, rough) = (windows(vec![1.0, 1.0, 9.0, 9.1]), windows(vec![2.0, 2.0, 2.0, 2.0]));
        assert!((noise([&rough, &calm]) - 8.05).abs() < 1e-9);
        assert!(noise([&rough]).abs() < 1e-9);
    }
}
