//! B's calls of many short windows, and the medians over them.

use crate::drills::load::{Call, quantile_ms};
use crate::stats::median;

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

    /// What the p99 may be at most beside one of this: 5 % more or 1 ms more, whichever is more.
    pub(super) fn most(&self) -> f64 {
        let p99 = self.p99();
        p99 + (p99 * 0.05).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_millisecond_or_a_twentieth_whichever_is_more() {
        let windows = |p99: Vec<f64>| Windows { p99, ..Windows::default() };
        assert!((windows(vec![9.0, 2.0, 1.0]).most() - 3.0).abs() < 1e-9);
        assert!((windows(vec![100.0]).most() - 105.0).abs() < 1e-9);
    }
}
