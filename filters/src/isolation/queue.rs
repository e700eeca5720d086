//! Those who wait, and in which order they are served.

use std::collections::VecDeque;

use super::permit::Place;
use super::{INTERVAL, LOOK_EVERY, TARGET};
use crate::clock::Nanos;

/// Who waits. Give it to [`super::Gate::leave`] if the caller goes away before it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

/// A worker's line, oldest first.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    next_ticket: u64,
    /// Since when somebody has been waiting at every moment.
    since: Nanos,
    /// One was served from a standing line, so those that waited too long are due.
    shortening: bool,
}

#[derive(Debug)]
struct Waiting<T> {
    ticket: Ticket,
    waiter: T,
    since: Nanos,
    until: Nanos,
    /// Given back when it leaves the line, however.
    _place: Place,
}

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new(), next_ticket: 0, since: Nanos(0), shortening: false }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, waiter: T, place: Place, now: Nanos, until: Nanos) -> Ticket {
        if self.is_empty() {
            self.since = now;
            self.shortening = false;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.waiting.push_back(Waiting { ticket, waiter, since: now, until, _place: place });
        ticket
    }

    /// Whoever is to be served next.
    pub(super) fn serve(&mut self, now: Nanos) -> Option<T> {
        let stands = self.stands(now);
        let served = if stands { self.waiting.pop_back() } else { self.waiting.pop_front() };
        self.shortening |= stands && served.is_some();
        served.map(|waiting| waiting.waiter)
    }

    /// Somebody whose time is over.
    pub(super) fn expired(&mut self, now: Nanos) -> Option<T> {
        let at = self.waiting.iter().position(|waiting| waiting.until <= now)?;
        self.waiting.remove(at).map(|waiting| waiting.waiter)
    }

    /// Somebody who has waited too long in a line that stands; `None` ends the round.
    pub(super) fn overdue(&mut self, now: Nanos) -> Option<T> {
        let is_overdue = |oldest: &Waiting<T>| now.since(oldest.since) > TARGET;
        if self.shortening && self.waiting.front().is_some_and(is_overdue) {
            return self.waiting.pop_front().map(|waiting| waiting.waiter);
        }
        self.shortening = false;
        None
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let at = self.waiting.iter().position(|waiting| waiting.ticket == ticket)?;
        self.waiting.remove(at).map(|waiting| waiting.waiter)
    }

    /// When to look again at the latest.
    pub(super) fn look_at(&self, now: Nanos) -> Option<Nanos> {
        let first = self.waiting.iter().map(|waiting| waiting.until).min()?;
        Some(first.min(now.after(LOOK_EVERY)))
    }

    fn stands(&self, now: Nanos) -> bool {
        !self.is_empty() && now.since(self.since) >= INTERVAL
    }
}
