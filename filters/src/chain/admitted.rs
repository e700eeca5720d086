//! The guard of a request that was let through.

use std::sync::Arc;

use super::{Chain, MAX_TICKETS};
use crate::clock::Nanos;
use crate::filter::{Ending, Pass, Quota, RuleId};
use crate::outcome::Outcome;
use crate::policy::Mode;

/// Consent of every filter of a chain. Keep it until the request has ended, then settle it; dropping it gives back
/// what is held without counting as evidence.
#[must_use = "dropping it at once gives back what the request still needs"]
pub struct Admitted {
    /// None if no filter wants to hear of the end.
    chain: Option<Arc<Chain>>,
    tickets: [u64; MAX_TICKETS],
    /// Which of the tickets count.
    held: u8,
    at: Nanos,
    not_before: Nanos,
    shadowed: u64,
    quota: Option<Quota>,
}

impl Admitted {
    #[inline]
    pub(super) const fn nothing(now: Nanos) -> Self {
        let tickets = [0; MAX_TICKETS];
        Self { chain: None, tickets, held: 0, at: now, not_before: Nanos(0), shadowed: 0, quota: None }
    }

    /// The request may go on from this moment; in the past if at once.
    #[must_use]
    #[inline]
    pub const fn not_before(&self) -> Nanos {
        self.not_before
    }

    /// The rules in shadow that would have refused or delayed it, a bit for each [`RuleId`].
    #[must_use]
    pub const fn shadowed(&self) -> u64 {
        self.shadowed
    }

    /// The quota nearest to exhaustion, if the response is to tell.
    #[must_use]
    pub const fn quota(&self) -> Option<&Quota> {
        self.quota.as_ref()
    }

    /// Whether any filter waits to hear of the end. If not, there is no need to keep this.
    #[must_use]
    #[inline]
    pub const fn owes(&self) -> bool {
        self.chain.is_some()
    }

    /// The request has ended.
    #[inline]
    pub fn settle(mut self, outcome: Outcome, now: Nanos) {
        if let Some(chain) = self.chain.take() {
            self.settle_with(&chain, Ending::Ended(outcome), now);
        }
    }

    #[inline]
    pub(super) fn keep(&mut self, index: usize, ticket: u64) {
        if let Some(kept) = self.tickets.get_mut(index) {
            *kept = ticket;
            self.held |= 1 << index;
        }
    }

    #[inline]
    pub(super) fn add(&mut self, pass: &Pass, mode: Mode) {
        if mode == Mode::Shadow {
            // A rehearsal delays nobody and tells callers nothing.
            self.shadowed |= pass.queued;
            return;
        }
        self.not_before = self.not_before.max(pass.not_before);
        if let Some(quota) = pass.quota
            && self.quota.is_none_or(|nearest| quota.remaining < nearest.remaining)
        {
            self.quota = Some(quota);
        }
    }

    pub(super) const fn note_shadow(&mut self, rule: RuleId) {
        self.shadowed |= rule.bit();
    }

    pub(super) fn hold(&mut self, chain: &Arc<Chain>) {
        self.chain = Some(Arc::clone(chain));
    }

    pub(super) fn settle_with(&mut self, chain: &Chain, ending: Ending, now: Nanos) {
        chain.settle(&self.tickets, std::mem::take(&mut self.held), ending, now);
    }
}

impl Drop for Admitted {
    #[inline]
    fn drop(&mut self) {
        // The moment of admission stands in: an abandoned request teaches nothing, so its end does not matter.
        if let Some(chain) = self.chain.take() {
            self.settle_with(&chain, Ending::Abandoned, self.at);
        }
    }
}
