//! The way in to one dependency, as one worker sees it: who may call, who waits for that, who is turned away.
//!
//! What is decided is in `outrigger_filters::isolation`; here callers sleep and are woken. A line outlives policies:
//! a reload changes its bounds, and those who wait go on waiting.
//!
//! Calls that hang hold their places until their time is up, which may be long after the dependency has recovered. So
//! while its breaker is not closed they are *written off*: their places, and the connections they hold, are given to
//! those who find out whether it works again. What is written off is not cut off; it ends as it would have.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use outrigger_filters::clock::{Clock, Nanos, SystemClock};
use outrigger_filters::isolation::{Bulkhead, Entry, Full, Gate, Permit, Ticket};
use tokio::sync::oneshot;

use super::pool::EndpointPool;
use crate::timer::Timer;

type Called = Result<Permit, Full>;

/// See the module.
pub(crate) struct Line {
    gate: RefCell<Gate<oneshot::Sender<Called>>>,
    /// Those that were let in, oldest first, with some that are over.
    calls: RefCell<VecDeque<Weak<Call>>>,
    clock: SystemClock,
}

/// A call that was let in.
struct Call {
    /// When its present try began.
    since: Cell<Nanos>,
    /// None once written off.
    permit: Cell<Option<Permit>>,
    /// Whose connection it has to itself.
    pool: RefCell<Option<Rc<EndpointPool>>>,
    answered: Cell<bool>,
    written_off: Cell<bool>,
}

/// Fewer entries than this are not worth looking through for those that are over.
const FEW: usize = 64;

impl Line {
    pub(crate) fn new(bulkhead: Arc<Bulkhead>, clock: SystemClock) -> Rc<Self> {
        Rc::new(Self { gate: RefCell::new(Gate::new(bulkhead)), calls: RefCell::default(), clock })
    }

    /// Another policy is in force.
    pub(crate) fn update(&self, bulkhead: Arc<Bulkhead>) {
        self.gate.borrow_mut().update(bulkhead);
        self.serve(self.clock.now());
    }

    /// How long a call may wait, for leave and for a connection.
    pub(crate) fn queue_timeout(&self) -> Duration {
        self.gate.borrow().bulkhead().queue_timeout()
    }

    /// The bounds in force.
    pub(crate) fn bulkhead(&self) -> Arc<Bulkhead> {
        Arc::clone(self.gate.borrow().bulkhead())
    }

    /// Leave to call, at once or after a wait that ends by `deadline`.
    ///
    /// # Errors
    /// There is no room, or none came in time.
    pub(crate) async fn enter(
        self: &Rc<Self>,
        timer: impl FnOnce() -> Timer,
        now: Nanos,
        deadline: Nanos,
    ) -> Result<Entered, Full> {
        let mut receiver = None;
        let entry = self.gate.borrow_mut().enter(now, deadline, || {
            let (sender, waiting) = oneshot::channel();
            receiver = Some(waiting);
            sender
        });
        let waited = matches!(entry, Entry::Wait(_));
        let permit = match (entry, receiver) {
            (Entry::In(permit), _) => permit,
            (Entry::Refused(full), _) => return Err(full),
            // Boxed because it is rare and large.
            (Entry::Wait(ticket), Some(receiver)) => {
                let waiting = Waiting { line: self, ticket: Some(ticket), receiver };
                Box::pin(waiting.called(timer())).await?
            }
            (Entry::Wait(ticket), None) => {
                self.gate.borrow_mut().leave(ticket);
                return Err(Full { reason: outrigger_filters::isolation::Reason::Queue });
            }
        };
        let since = if waited { self.clock.now() } else { now };
        Ok(Entered { place: self.place(permit, since), waited })
    }

    fn place(self: &Rc<Self>, permit: Permit, since: Nanos) -> Place {
        let call = Rc::new(Call {
            since: Cell::new(since),
            permit: Cell::new(Some(permit)),
            pool: RefCell::default(),
            answered: Cell::new(false),
            written_off: Cell::new(false),
        });
        let mut calls = self.calls.borrow_mut();
        if calls.len() >= FEW && calls.len() == calls.capacity() {
            calls.retain(|call| call.strong_count() > 0);
            // Room for as many again, so that this is not done for each call.
            let live = calls.len();
            calls.reserve(live);
        }
        calls.push_back(Rc::downgrade(&call));
        Place { call, line: Rc::clone(self) }
    }

    /// Writes off the calls that have waited for their answers since `since` or longer.
    pub(crate) fn write_off(&self, since: Nanos) {
        let calls: Vec<_> = self.calls.borrow().iter().filter_map(Weak::upgrade).collect();
        for call in calls.iter().filter(|call| call.since.get() <= since) {
            if !call.answered.get() && !call.written_off.replace(true) {
                drop(call.permit.take());
                if let Some(pool) = &*call.pool.borrow() {
                    pool.write_off();
                }
            }
        }
        self.serve(self.clock.now());
    }

    /// Calls those whose wait is over.
    fn serve(&self, now: Nanos) {
        loop {
            // Not held while somebody is woken: who finds nobody there drops a permit.
            let next = self.gate.borrow_mut().next(now);
            let Some((sender, verdict)) = next else { return };
            let _ = sender.send(verdict);
        }
    }
}

/// Somebody in the line.
struct Waiting<'a> {
    line: &'a Rc<Line>,
    /// None once called.
    ticket: Option<Ticket>,
    receiver: oneshot::Receiver<Called>,
}

impl Waiting<'_> {
    async fn called(mut self, mut timer: Timer) -> Called {
        self.line.serve(self.line.clock.now());
        // Kept from one poll to the next: a time that is put off by each look never comes.
        let mut look_at = None;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(called) = Pin::new(&mut self.receiver).poll(cx) {
                    self.ticket = None;
                    // The line is never dropped before those in it.
                    return Poll::Ready(
                        called.unwrap_or(Err(Full { reason: outrigger_filters::isolation::Reason::Queue })),
                    );
                }
                let now = self.line.clock.now();
                let at = *look_at.get_or_insert_with(|| self.line.gate.borrow().look_at(now).unwrap_or(now));
                std::task::ready!(timer.poll_at(cx, at));
                look_at = None;
                self.line.serve(self.line.clock.now());
            }
        })
        .await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let waited = self.line.gate.borrow_mut().leave(ticket).is_some();
            if !waited {
                // Called at the moment it left: the permit in the channel goes to the next.
                self.receiver.close();
                drop(self.receiver.try_recv());
                self.line.serve(self.line.clock.now());
            }
        }
    }
}

/// A call that was let in.
pub(crate) struct Entered {
    pub(crate) place: Place,
    /// Not at once.
    pub(crate) waited: bool,
}

/// Leave to call. The call is in flight until this is dropped.
pub(crate) struct Place {
    call: Rc<Call>,
    line: Rc<Line>,
}

impl Place {
    /// Another try begins: what is known of the last one is over.
    pub(crate) fn begins_try(&self, now: Nanos) {
        self.call.since.set(now);
        self.call.answered.set(false);
        let pool = self.call.pool.take();
        if let Some(pool) = pool.filter(|_| self.call.written_off.get()) {
            pool.settle_written_off();
        }
    }

    /// It has a connection of `pool` to itself, from now on; instead of another, if it had one.
    pub(crate) fn carried_by(&self, pool: &Rc<EndpointPool>) {
        if !self.call.written_off.get() {
            *self.call.pool.borrow_mut() = Some(Rc::clone(pool));
        }
    }

    /// It does not hang: the head of its answer is here.
    pub(crate) fn answered(&self) {
        self.call.answered.set(true);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.call.permit.take());
        if self.call.written_off.get()
            && let Some(pool) = self.call.pool.take()
        {
            pool.settle_written_off();
        }
        if self.line.gate.borrow().waiting() > 0 {
            self.line.serve(self.line.clock.now());
        }
    }
}
