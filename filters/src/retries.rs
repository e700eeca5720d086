//! Retries: whether a failed attempt is made again, when, and who pays for it.
//!
//! **Decides** after each attempt, from what is certain. What provably never left is sent again once for nothing, any
//! method. What may have run is repeated only if that does no harm: a safe or idempotent method, a route declared
//! `idempotent`, a request whose idempotency key is being kept. Waits are drawn with full jitter, a throttled caller
//! waits as long as it was told to, and nothing is begun that the deadline would cut off.
//!
//! **State**: one [ledger](self) for each dependency, shared by all workers and kept through every change of policy:
//! the budget (a share of the requests, credited as they come and worth nothing after ten seconds, and a floor of so
//! many a second), and the ends of the last ten seconds, by which the brake is put on. A retry is paid for when it is
//! decided, before the wait, so that retries that wait count; dropping its [`Token`] unspent pays it back.
//!
//! **At the limits**: no budget, no retry; the answer stands. When more than half of the attempts of the last ten
//! seconds failed, one retry a second tells whether that is over. Requests that are somebody's retry are not retried:
//! of several layers only the highest does. In any span `t` with `n` requests: budgeted retries ≤ ratio·n +
//! floor·(t + 10 s).
//!
//! **Cost**: one atomic word for each request and one for each attempt; a decision to retry walks ten of each.
//!
//! Sources: gRFC A6 (transparent retries, pushback); Finagle's `RetryBudget`; Google, *Site Reliability Engineering*,
//! ch. 22; M. Brooker, *Exponential Backoff And Jitter*.

mod call;
mod condition;
mod decision;
mod delay;
mod knobs;
mod ledger;
mod reason;
mod spec;
mod token;
mod validate;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub use call::{Attempt, Call, Original};
pub use condition::Condition;
pub use decision::Decision;
pub use reason::Reason;
pub use spec::{Backoff, Budget, Spec};
pub use token::Token;

use crate::clock::Nanos;
use crate::policy::Mode;
use crate::state::{StateKey, StateStore};
use knobs::Knobs;
use ledger::Ledger;
use reason::Counts;

/// The name of the block, the `filter` of its state and the field in logs.
pub const NAME: &str = "retries";

/// How many attempts may be asked for, the first included.
pub const ATTEMPTS: RangeInclusive<u32> = 1..=5;

/// The longest wait before a retry, also one that the upstream asks for.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// No attempt begins with less time than this.
pub const SHORTEST_ATTEMPT: Duration = Duration::from_millis(10);

/// The largest body that may be kept for a retry.
pub const LARGEST_REPLAY: u64 = 16 << 20;

/// The retries of one route of a dependency, ready to decide.
pub struct Retries {
    knobs: Knobs,
    ledger: Arc<Ledger>,
    counts: Arc<Counts>,
}

impl Retries {
    /// Compiles what is written for a route, or that nothing is. `owner` is the dependency, not the route: all its
    /// routes pay from one budget, whichever block they have. Pure but for finding the state again.
    #[must_use]
    pub fn build(written: Option<&Spec>, owner: &str, store: &StateStore) -> Self {
        let knobs = written.map_or_else(Knobs::off, Knobs::new);
        let key = |shape: &str| StateKey {
            owner: owner.to_owned(),
            filter: NAME,
            name: String::new(),
            mode: knobs.mode,
            shape: shape.to_owned(),
        };
        let ledger = store.adopt(key("ledger"), Ledger::default);
        let counts = store.adopt(key("counts"), Counts::default);
        Self { knobs, ledger, counts }
    }

    /// A request has come: credits the budget, and begins to count its attempts. Once for each request, whatever
    /// becomes of it.
    #[must_use]
    pub fn begin(&self, original: &Original<'_>, now: Nanos) -> Call {
        // Whoever retried it above has paid there; crediting it here would let layers multiply.
        if !self.knobs.is_off() && !original.is_retry {
            self.ledger.credit(self.knobs.credit, now);
        }
        Call::begin(original, self.knobs.repeats(original))
    }

    /// How much of a request's body must be kept so that it can be sent again; zero if it never will be. What is
    /// longer is not kept, and [`Attempt::replayable`] is then false. Kept also where the request may not be repeated:
    /// it can turn out that nobody has seen it.
    #[must_use]
    pub const fn replay(&self, call: &Call) -> u64 {
        let never = self.knobs.is_off() || call.is_retry;
        if never || matches!(self.knobs.mode, Mode::Shadow) { 0 } else { self.knobs.replay }
    }

    /// How many attempts `call` may still make, the one under way included: what is left of its time is theirs.
    #[must_use]
    pub const fn left(&self, call: &Call) -> u32 {
        let never = self.knobs.is_off() || !call.repeats || call.is_retry;
        if never || matches!(self.knobs.mode, Mode::Shadow) {
            return 1;
        }
        let left = self.knobs.attempts.saturating_sub(call.attempts);
        if left == 0 { 1 } else { left }
    }

    /// Nothing but what provably never left is ever sent again, so there is nothing to decide about an answer.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.knobs.is_off()
    }

    /// Whether it decides, only counts, or is not there.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.knobs.mode
    }

    /// How many retries the budget pays for now.
    #[must_use]
    pub fn balance(&self, now: Nanos) -> u64 {
        self.ledger.balance(self.knobs.price, now)
    }

    /// Whether most attempts of the last ten seconds failed, so that one retry a second is all there is.
    #[must_use]
    pub fn is_braked(&self, now: Nanos) -> bool {
        self.ledger.is_braked(now)
    }

    /// The `result` labels of `outrigger_retries_total` and how often each was; sums over all workers, routes and
    /// policies of the dependency in this mode.
    pub fn counted(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.all()
    }
}

#[cfg(test)]
mod tests;
