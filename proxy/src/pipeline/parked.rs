//! Answers over HTTP/2 whose client does not take them.
//!
//! A client may keep the window of one stream shut for ever while its connection lives. Nothing asks the body for
//! bytes then, so no timer of its own can end it, and it holds its upstream connection all the while: a few such
//! clients use up a dependency (CVE-2019-9517 is of this kind). So a worker has a list of these bodies and looks
//! through it every second: what has waited for its client too long, or beyond its total time, is taken away
//! and recorded. On HTTP/1.1 the connection itself is what waits, and `server::io` times it.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use outrigger_filters::clock::{Clock, Nanos, SystemClock};

use super::outflow::{Broken, Outflow};
use crate::server::connection::WRITE_PATIENCE;

/// Fewer entries than this are not worth looking through for dead ones.
const SMALL: usize = 64;

/// A body that may be taken away from its stream.
pub(crate) struct Parked {
    outflow: RefCell<Option<Box<Outflow>>>,
    /// Since when the client owes us room; none while the upstream owes bytes.
    since: Cell<Option<Nanos>>,
    total_at: Option<Nanos>,
    clock: SystemClock,
}

impl Parked {
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut outflow = self.outflow.borrow_mut();
        let Some(outflow) = outflow.as_mut() else { return Poll::Ready(Some(Err(Broken::not_taken()))) };
        let polled = outflow.poll(cx);
        let waits = matches!(polled, Poll::Ready(Some(Ok(_))));
        self.since.set(waits.then(|| self.clock.now()));
        polled
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.outflow.borrow().as_ref().is_some_and(|outflow| outflow.is_end_stream())
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.outflow.borrow().as_ref().map_or_else(SizeHint::default, |outflow| outflow.size_hint())
    }

    fn end_if_late(&self, now: Nanos) {
        let Some(since) = self.since.get() else { return };
        let late = now >= since.after(WRITE_PATIENCE) || self.total_at.is_some_and(|total| now >= total);
        if late && let Some(mut outflow) = self.outflow.borrow_mut().take() {
            outflow.not_taken();
        }
    }
}

/// The bodies of one worker.
#[derive(Default)]
pub(crate) struct Parking {
    bodies: Vec<Weak<Parked>>,
    /// At this length the dead are removed, so that the list is never twice as long as it need be.
    prune_at: usize,
}

impl Parking {
    pub(crate) fn add(&mut self, outflow: Box<Outflow>, clock: SystemClock) -> Rc<Parked> {
        if self.bodies.len() >= self.prune_at.max(SMALL) {
            self.bodies.retain(|body| body.strong_count() > 0);
            self.prune_at = self.bodies.len().saturating_mul(2);
        }
        let total_at = outflow.total_at();
        let since = Cell::new(Some(clock.now()));
        let parked = Rc::new(Parked { outflow: RefCell::new(Some(outflow)), since, total_at, clock });
        self.bodies.push(Rc::downgrade(&parked));
        parked
    }

    /// The bodies that are alive; ending one may start or end others, so the list is not held meanwhile.
    pub(crate) fn bodies(&self) -> Vec<Rc<Parked>> {
        self.bodies.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Ends what has waited too long.
pub(crate) fn sweep(bodies: Vec<Rc<Parked>>, now: Nanos) {
    for body in bodies {
        body.end_if_late(now);
    }
}
