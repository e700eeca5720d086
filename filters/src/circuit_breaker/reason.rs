//! Why a breaker changed its state, with the numbers.

use std::fmt;
use std::time::Duration;

use crate::unit::{Percent, Timespan};

/// Why a breaker is in its state. Prints as a sentence for people; [`Reason::label`] is for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// Nothing has happened yet.
    #[default]
    Start,
    /// Too many calls failed.
    FailureRatio {
        /// Failed calls in the window.
        failed: u64,
        /// All calls in the window.
        total: u64,
        /// The window.
        window: Duration,
        /// What was written.
        limit: Percent,
    },
    /// Too many calls were slow.
    SlowRatio {
        /// Slow calls in the window.
        slow: u64,
        /// All calls in the window.
        total: u64,
        /// The window.
        window: Duration,
        /// What was written.
        limit: Percent,
        /// From when a call is slow.
        threshold: Duration,
    },
    /// Too many calls hang.
    Stalled {
        /// How many.
        calls: u64,
        /// For longer than this.
        threshold: Duration,
    },
    /// No connection came about, several times in a row.
    Unreachable {
        /// How many times.
        calls: u32,
    },
    /// Several calls in a row failed where there are few.
    Consecutive {
        /// How many.
        calls: u32,
        /// What was written.
        limit: u32,
    },
    /// The time to stay open has passed.
    Waited,
    /// The probes failed.
    ProbesFailed {
        /// How many.
        failed: u32,
        /// Of how many that were judged.
        judged: u32,
    },
    /// The probes succeeded.
    ProbesSucceeded {
        /// How many.
        succeeded: u32,
        /// Of how many that were judged.
        judged: u32,
    },
    /// The ramp was passed without a relapse.
    Ramped,
    /// An operator forced it.
    Forced,
    /// An operator let go of it.
    Released,
}

impl Reason {
    /// The `reason` label of metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::FailureRatio { .. } => "failure_ratio",
            Self::SlowRatio { .. } => "slow_ratio",
            Self::Stalled { .. } => "stalled",
            Self::Unreachable { .. } => "unreachable",
            Self::Consecutive { .. } => "consecutive",
            Self::Waited => "waited",
            Self::ProbesFailed { .. } => "probes_failed",
            Self::ProbesSucceeded { .. } => "probes_succeeded",
            Self::Ramped => "ramped",
            Self::Forced => "forced",
            Self::Released => "released",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Start => f.write_str("nothing has happened yet"),
            Self::FailureRatio { failed, total, window, limit } => {
                write!(f, "{failed} of {total} calls failed in {} (failure_ratio {limit})", Timespan(window))
            }
            Self::SlowRatio { slow, total, window, limit, threshold } => {
                let (window, threshold) = (Timespan(window), Timespan(threshold));
                write!(
                    f,
                    "{slow} of {total} calls took more than {threshold} in {window} (slow_ratio {limit})"
                )
            }
            Self::Stalled { calls, threshold } => {
                write!(f, "{calls} calls in flight for more than {}", Timespan(threshold))
            }
            Self::Unreachable { calls } => write!(f, "{calls} connections in a row failed"),
            Self::Consecutive { calls, limit } => {
                write!(f, "{calls} calls in a row failed (consecutive {limit})")
            }
            Self::Waited => f.write_str("the time to stay open has passed"),
            Self::ProbesFailed { failed, judged } => write!(f, "{failed} of {judged} probes failed"),
            Self::ProbesSucceeded { succeeded, judged } => {
                write!(f, "{succeeded} of {judged} probes succeeded")
            }
            Self::Ramped => f.write_str("the ramp was passed without a relapse"),
            Self::Forced => f.write_str("forced by an operator"),
            Self::Released => f.write_str("no longer forced"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_it_with_the_numbers_that_tripped_it() {
        let (window, limit) = (Duration::from_secs(10), Percent::whole(50));
        let threshold = Duration::from_millis(1_500);
        let said = |reason: Reason| reason.to_string();
        assert_eq!(
            said(Reason::FailureRatio { failed: 12, total: 15, window, limit }),
            "12 of 15 calls failed in 10s (failure_ratio 50%)"
        );
        assert_eq!(
            said(Reason::SlowRatio { slow: 9, total: 10, window, limit, threshold }),
            "9 of 10 calls took more than 1500ms in 10s (slow_ratio 50%)"
        );
        assert_eq!(
            said(Reason::Stalled { calls: 10, threshold: Duration::from_secs(1) }),
            "10 calls in flight for more than 1s"
        );
    }
}
