//! A chain of filters: asks them in order, pays what it owes them in reverse, counts what they decide.
//!
//! The guard it hands out, [`Admitted`], belongs inside the response body: it settles when the request ends, or on
//! drop, so that whatever is held is given back exactly once, whoever leaves first. When a filter refuses, those
//! before it are settled in reverse with the refusal. A filter in shadow is asked like any other, on state of its
//! own; its refusal is counted and noted, and the request passes.
//!
//! Cost: a few nanoseconds plus the filters'. Asking never allocates; a chain without filters that settle does not
//! even take a reference to itself.

mod admitted;
mod rule;

use std::ops::Range;
use std::sync::Arc;

pub use admitted::Admitted;
pub(crate) use rule::Counts;
pub use rule::{Action, Rule};

use crate::clock::Nanos;
use crate::filter::{Ending, Filter, Occupancy, Pass, Rejection, RuleId};
use crate::policy::Mode;
use crate::request::RequestView;

/// The most filters in one chain. How many there can be is decided by the list of policies and the lengths they
/// accept, not by operators, and stays well below; a filter beyond is not asked.
pub const MAX_SLOTS: usize = 16;

/// The most filters in one chain that want to hear of the end. Few, so that the guard moves in registers: a guard
/// with room for all slots costs 20 ns in copies.
pub const MAX_TICKETS: usize = 8;

/// Filters in the order in which they are asked.
pub struct Chain {
    slots: Box<[Slot]>,
    rules: Box<[Rule]>,
    settles: bool,
}

/// One filter in a chain.
pub(crate) struct Slot {
    filter: Box<dyn Filter>,
    mode: Mode,
    rules: Range<usize>,
    settles: bool,
}

impl Slot {
    pub(crate) fn new(filter: Box<dyn Filter>, mode: Mode, rules: Range<usize>) -> Self {
        let settles = filter.settles();
        Self { filter, mode, rules, settles }
    }
}

impl Chain {
    pub(crate) fn new(mut slots: Vec<Slot>, rules: Vec<Rule>) -> Self {
        let mut tickets = 0..MAX_TICKETS;
        slots.retain(|slot| slot.mode != Mode::Disabled && (!slot.settles || tickets.next().is_some()));
        slots.truncate(MAX_SLOTS);
        let settles = slots.iter().any(|slot| slot.settles);
        Self { slots: slots.into(), rules: rules.into(), settles }
    }

    /// Asks every filter.
    ///
    /// # Errors
    /// The first refusal of a filter that enforces.
    #[inline]
    pub fn admit(self: &Arc<Self>, request: &RequestView<'_>, now: Nanos) -> Result<Admitted, Rejection> {
        if self.slots.is_empty() { Ok(Admitted::nothing(now)) } else { self.ask(request, now) }
    }

    fn ask(self: &Arc<Self>, request: &RequestView<'_>, now: Nanos) -> Result<Admitted, Rejection> {
        let mut admitted = Admitted::nothing(now);
        let mut next_ticket = 0;
        for slot in &self.slots {
            let ticket = next_ticket;
            next_ticket += usize::from(slot.settles);
            match slot.filter.admit(request, now) {
                Ok(pass) => {
                    self.count_pass(slot, &pass, request.worker);
                    admitted.add(&pass, slot.mode);
                    if slot.settles {
                        admitted.keep(ticket, pass.ticket);
                    }
                }
                Err(rejection) => {
                    self.count(rejection.rule, Action::Rejected, request.worker);
                    if slot.mode == Mode::Enforce {
                        admitted.settle_with(self, Ending::Ended(rejection.outcome), now);
                        return Err(rejection);
                    }
                    admitted.note_shadow(rejection.rule);
                }
            }
        }
        if self.settles {
            admitted.hold(self);
        }
        Ok(admitted)
    }

    /// Asks every filter that enforces whether it would let the request pass, and takes nothing. Ask a chain that
    /// comes later before the first one takes what a refusal would waste.
    ///
    /// # Errors
    /// The first refusal, which is counted as one.
    pub fn peek(&self, request: &RequestView<'_>, now: Nanos) -> Result<(), Rejection> {
        for slot in self.slots.iter().filter(|slot| slot.mode == Mode::Enforce) {
            if let Err(rejection) = slot.filter.peek(request, now) {
                self.count(rejection.rule, Action::Rejected, request.worker);
                return Err(rejection);
            }
        }
        Ok(())
    }

    /// Whether there is nothing to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The rules, in the order of their [`RuleId`]s, with what was decided by each.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = (RuleId, &Rule)> {
        self.rules
            .iter()
            .enumerate()
            .map(|(index, rule)| (RuleId(u16::try_from(index).unwrap_or(u16::MAX)), rule))
    }

    /// One rule, such as that of a rejection.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(usize::from(id.0))
    }

    /// How full a rule's bounded space is.
    #[must_use]
    pub fn occupancy(&self, id: RuleId) -> Option<Occupancy> {
        let slot = self.slots.iter().find(|slot| slot.rules.contains(&usize::from(id.0)))?;
        slot.filter.occupancy(id)
    }

    fn settle(&self, tickets: &[u64; MAX_TICKETS], held: u8, ending: Ending, now: Nanos) {
        let settling = self.slots.iter().filter(|slot| slot.settles);
        let mut owed: [Option<(&Slot, u64)>; MAX_TICKETS] = [None; _];
        for (index, ((slot, ticket), owed)) in settling.zip(tickets).zip(&mut owed).enumerate() {
            *owed = (held & 1 << index != 0).then_some((slot, *ticket));
        }
        for (slot, ticket) in owed.into_iter().rev().flatten() {
            slot.filter.settle(ticket, ending, now);
        }
    }

    #[inline]
    fn count_pass(&self, slot: &Slot, pass: &Pass, worker: usize) {
        for index in slot.rules.clone() {
            let Some(rule) = self.rules.get(index) else { continue };
            let bit = 1u64.wrapping_shl(index as u32);
            let action = if pass.overflow & bit != 0 {
                Action::Overflow
            } else if pass.queued & bit != 0 {
                Action::Queued
            } else {
                Action::Admitted
            };
            rule.count_one(action, worker);
        }
    }

    #[inline]
    fn count(&self, id: RuleId, action: Action, worker: usize) {
        if let Some(rule) = self.rule(id) {
            rule.count_one(action, worker);
        }
    }
}

#[cfg(test)]
mod tests;
