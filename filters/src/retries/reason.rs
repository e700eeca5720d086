//! Why there is no retry, and how often each was decided.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::state::State;

/// Writes the enum, the list of all of it and its labels from one table.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal;)+) => {
        /// Why there is no retry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason; the position of each is its `u8`.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The `result` label of metrics.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

reasons! {
    /// The attempt did not fail. Not counted.
    Unneeded = "unneeded";
    /// It failed in a way that `when` does not name, or that no retry helps: refused here, the caller left.
    NotEligible = "not_eligible";
    /// It may have run, and repeating it could do harm.
    NotIdempotent = "not_idempotent";
    /// Its body is longer than what is kept.
    BodyTooLarge = "body";
    /// The budget is spent.
    NoBudget = "no_budget";
    /// Most attempts fail, and this second had its retry.
    Brake = "brake";
    /// What is left of the deadline is too short for the wait and an attempt.
    Deadline = "deadline";
    /// All attempts were made.
    Exhausted = "exhausted";
    /// It is itself somebody's retry: the layer above retries.
    LayerAbove = "layer_suppressed";
    /// The answer says not to.
    Forbidden = "forbidden";
    /// There are no retries here.
    Off = "off";
    /// It would have been retried; in shadow it is only counted.
    Shadow = "shadow";
}

impl Reason {
    /// Whether the answer must say `outrigger-no-retry: 1`: more attempts, from wherever, would only add load.
    #[must_use]
    pub const fn is_final_for_callers(self) -> bool {
        matches!(self, Self::Exhausted | Self::NoBudget | Self::Brake | Self::Forbidden)
    }
}

const REASONS: usize = Reason::ALL.len();

/// How often each was decided. Failures are rare enough for shared counters.
#[derive(Default)]
pub(super) struct Counts {
    retried: AtomicU64,
    unsent: AtomicU64,
    recovered: AtomicU64,
    reasons: [AtomicU64; REASONS],
}

impl State for Counts {}

impl Counts {
    pub(super) fn retried(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unsent(&self) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn recovered(&self) {
        self.recovered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, reason: Reason) {
        if let Some(count) = self.reasons.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let decided = [("retried", &self.retried), ("unsent", &self.unsent), ("recovered", &self.recovered)];
        let reasons =
            Reason::ALL.iter().zip(&self.reasons).filter(|(reason, _)| **reason != Reason::Unneeded);
        decided
            .into_iter()
            .chain(reasons.map(|(reason, count)| (reason.label(), count)))
            .map(|(label, count)| (label, count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_reason_counts_for_itself_under_a_label_of_its_own() {
        let counts = Counts::default();
        for reason in Reason::ALL {
            counts.refused(*reason);
        }
        counts.retried();
        let all: Vec<_> = counts.all().collect();
        assert_eq!(all.iter().map(|(label, _)| label).collect::<HashSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(|(_, count)| count).sum::<u64>(), Reason::ALL.len() as u64);
    }
}
