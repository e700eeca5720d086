//! The way in to one dependency, as one worker sees it: who may call, who waits for that, who is turned away.
//!
//! What is decided is in `outrigger_filters::isolation`; here callers sleep and are woken. A line outlives policies:
//! a reload changes its bounds, and those who wait go on waiting.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use outrigger_filters::clock::{Clock, Nanos, SystemClock};
use outrigger_filters::isolation::{Bulkhead, Entry, Full, Gate, Permit, Ticket};
use tokio::sync::oneshot;

use crate::timer::Timer;

type Called = Result<Permit, Full>;

/// See the module.
pub(crate) struct Line {
    gate: RefCell<Gate<oneshot::Sender<Called>>>,
    clock: SystemClock,
}

impl Line {
    pub(crate) fn new(bulkhead: Arc<Bulkhead>, clock: SystemClock) -> Rc<Self> {
        Rc::new(Self { gate: RefCell::new(Gate::new(bulkhead)), clock })
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
        Ok(Entered { place: Place { permit: Some(permit), line: Rc::clone(self) }, waited })
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
    permit: Option<Permit>,
    line: Rc<Line>,
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.permit.take());
        if self.line.gate.borrow().waiting() > 0 {
            self.line.serve(self.line.clock.now());
        }
    }
}
