//! One worker's way in: straight, by the line, or not at all.

use std::sync::Arc;

use super::bulkhead::Bulkhead;
use super::permit::Permit;
use super::queue::{Queue, Ticket};
use super::{Full, Reason};
use crate::clock::Nanos;
use crate::policy::Mode;

/// One worker's way in to one dependency. `T` is whatever wakes a caller, such as the sending half of a channel.
///
/// Nothing here waits. Ask [`Gate::next`] until it has nothing to say whenever a permit of this dependency was dropped
/// on this worker, after [`Gate::enter`] said to wait, and at [`Gate::look_at`], by which room made by other workers
/// and the end of a caller's time are found. Dropping the gate drops those who wait, which their channels show.
#[derive(Debug)]
pub struct Gate<T> {
    bulkhead: Arc<Bulkhead>,
    queue: Queue<T>,
}

/// What becomes of a call that asks.
#[derive(Debug)]
#[must_use = "dropping it gives the permit back"]
pub enum Entry {
    /// It may go on.
    In(Permit),
    /// It waits; what wakes it is kept until [`Gate::next`] returns it or [`Gate::leave`] takes it out.
    Wait(Ticket),
    /// It is turned away.
    Refused(Full),
}

impl<T> Gate<T> {
    /// An open gate.
    #[must_use]
    pub const fn new(bulkhead: Arc<Bulkhead>) -> Self {
        Self { bulkhead, queue: Queue::new() }
    }

    /// Another policy is in force. Those who wait go on waiting, and are judged by it.
    pub fn update(&mut self, bulkhead: Arc<Bulkhead>) {
        self.bulkhead = bulkhead;
    }

    /// The bounds in force.
    #[must_use]
    pub const fn bulkhead(&self) -> &Arc<Bulkhead> {
        &self.bulkhead
    }

    /// A call asks. Whoever waits already goes first; `waiter` is made only if it must wait.
    pub fn enter(&mut self, now: Nanos, deadline: Nanos, waiter: impl FnOnce() -> T) -> Entry {
        let may_wait = self.bulkhead.has_line() && self.bulkhead.mode() == Mode::Enforce;
        if self.queue.is_empty() || !may_wait {
            match self.bulkhead.room() {
                Some(permit) => return Entry::In(permit),
                None if !may_wait => {
                    return self.bulkhead.try_enter().map_or_else(Entry::Refused, Entry::In);
                }
                None => {}
            }
        }
        let until = now.after(self.bulkhead.queue_timeout).min(deadline);
        if until <= now {
            return self.refused(Reason::Timeout);
        }
        match self.bulkhead.place() {
            Some(place) => Entry::Wait(self.queue.push(waiter(), place, now, until)),
            None => self.refused(Reason::Queue),
        }
    }

    /// The next of those who wait whose wait is over, and how: called in, or turned away. Each is returned once.
    pub fn next(&mut self, now: Nanos) -> Option<(T, Result<Permit, Full>)> {
        if let Some(waiter) = self.queue.expired(now) {
            return Some((waiter, Err(self.bulkhead.state.refuse(Reason::Timeout))));
        }
        if !self.queue.is_empty()
            && let Some(permit) = self.permit()
            && let Some(waiter) = self.queue.serve(now)
        {
            return Some((waiter, Ok(permit)));
        }
        let waiter = self.queue.overdue(now)?;
        Some((waiter, Err(self.bulkhead.state.refuse(Reason::Codel))))
    }

    /// A caller goes away before it was called. `None` if it has been called or turned away already.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        self.queue.remove(ticket)
    }

    /// When to ask [`Gate::next`] again at the latest; `None` while nobody waits.
    #[must_use]
    pub fn look_at(&self, now: Nanos) -> Option<Nanos> {
        self.queue.look_at(now)
    }

    /// How many wait here.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// For who waits. Nobody goes on waiting in a line that has since become a rehearsal.
    fn permit(&self) -> Option<Permit> {
        match self.bulkhead.mode() {
            Mode::Enforce => self.bulkhead.room(),
            Mode::Shadow | Mode::Disabled => self.bulkhead.try_enter().ok(),
        }
    }

    fn refused(&self, reason: Reason) -> Entry {
        Entry::Refused(self.bulkhead.state.refuse(reason))
    }
}
