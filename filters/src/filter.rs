//! The contract of a filter: one resilience decision about one request.

use std::time::Duration;

use crate::clock::Nanos;
use crate::outcome::Outcome;
use crate::request::RequestView;

/// One policy on one route or upstream, ready to decide.
///
/// `admit` is on the request path: it does not block, await, allocate or log. Every `Ok` from it is owed exactly
/// one `settle`; [`crate::chain::Chain`] pays that debt, also when a later filter refuses or the caller leaves.
pub trait Filter: Send + Sync {
    /// Lets the request pass or refuses it. A refusal leaves no trace in the filter's state.
    ///
    /// # Errors
    /// The verdict, if the request may not pass.
    fn admit(&self, request: &RequestView<'_>, now: Nanos) -> Result<Pass, Rejection>;

    /// Whether [`Filter::admit`] would let the request pass now. Takes nothing.
    ///
    /// # Errors
    /// The verdict, if it may not pass.
    fn peek(&self, _request: &RequestView<'_>, _now: Nanos) -> Result<(), Rejection> {
        Ok(())
    }

    /// The request that was given `ticket` ended. A refusal (see [`Outcome::is_refusal`]) is not evidence.
    fn settle(&self, _ticket: u64, _ending: Ending, _now: Nanos) {}

    /// Whether `settle` does anything. A chain of filters that do not settle is cheaper to pass.
    fn settles(&self) -> bool {
        true
    }

    /// How much of a bounded space a rule takes up, for metrics; none where nothing is bounded.
    fn occupancy(&self, _rule: RuleId) -> Option<Occupancy> {
        None
    }
}

/// So much of so much, such as keys of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// What is taken.
    pub used: usize,
    /// What there is.
    pub capacity: usize,
}

/// How what a filter admitted came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The request ran and ended like this.
    Ended(Outcome),
    /// It was dropped unsettled: release what is held, learn nothing.
    Abandoned,
}

impl Ending {
    /// The outcome, if it is evidence about whatever lies behind the filter.
    #[must_use]
    pub const fn evidence(self) -> Option<Outcome> {
        match self {
            Self::Ended(outcome) if !outcome.is_refusal() => Some(outcome),
            _ => None,
        }
    }
}

/// A rule of a chain, by its position among [`crate::chain::Chain::rules`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u16);

impl RuleId {
    /// A set of just this rule; a chain has at most 64.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1u64.wrapping_shl(self.0 as u32)
    }
}

/// What a filter hands out with its consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Whatever the filter wants back when the request is settled.
    pub ticket: u64,
    /// The request may go on from this moment; zero: at once.
    pub not_before: Nanos,
    /// The rules that make it wait.
    pub queued: u64,
    /// The rules that had no room for it of its own.
    pub overflow: u64,
    /// What the caller may be told about its quota.
    pub quota: Option<Quota>,
}

/// What a caller may be told about a quota: the facts behind `RateLimit` and `RateLimit-Policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The rule that sets it.
    pub rule: RuleId,
    /// How many may come at once.
    pub limit: u32,
    /// In how many seconds that many are granted anew; at least 1.
    pub window: u32,
    /// How many are left.
    pub remaining: u32,
    /// In how many seconds there is more: when nothing is left, the next one; else all of it.
    pub reset: u32,
}

/// A verdict: refused, by whom, why, and what to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The policy's name, such as `rate_limits`.
    pub filter: &'static str,
    /// The rule, by its position in the chain that refused.
    pub rule: RuleId,
    /// A word for logs and `Proxy-Status` details.
    pub reason: &'static str,
    /// The HTTP status to answer.
    pub status: u16,
    /// The error token of RFC 9209 (Proxy-Status).
    pub error: &'static str,
    /// The outcome to record.
    pub outcome: Outcome,
    /// When coming back may help.
    pub retry_after: Duration,
    /// The quota that is used up, if the caller may be told.
    pub quota: Option<Quota>,
}

impl Rejection {
    /// The gRPC status that says the same: 8 RESOURCE_EXHAUSTED, 14 UNAVAILABLE, and so on.
    #[must_use]
    pub const fn grpc_status(&self) -> u16 {
        match self.status {
            429 => 8,
            400 => 3,
            404 | 405 => 12,
            504 => 4,
            _ => 14,
        }
    }
}
