//! One worker's connections to one endpoint: idle ones to reuse, a bound on all, a bounded line of waiters.
//!
//! Nothing here is shared between workers, so nothing is locked. The bound of the policy is split among them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use outrigger_filters::balance::Load;
use outrigger_filters::clock::Nanos;
use outrigger_filters::outcome::Outcome;
use tokio::sync::oneshot;

use super::cluster::{Cluster, Endpoint};
use super::connection::{Counted, H2};
use super::dial;
use super::h1::{BrokenOff, H1};
use super::switched::Switched;
use crate::failure::Failure;

/// Requests waiting for a connection of one endpoint, for each worker; the next one is refused.
const MAX_WAITING: usize = 1024;

/// One worker's share of an endpoint.
pub(crate) struct EndpointPool {
    pub(crate) endpoint: Arc<Endpoint>,
    /// For the balancer.
    pub(crate) load: Load,
    bounds: Cell<Bounds>,
    #[expect(
        clippy::vec_box,
        reason = "a connection moves in and out for every request; a pointer moves cheaper"
    )]
    idle: RefCell<Vec<Box<H1>>>,
    shared: RefCell<Vec<Rc<H2>>>,
    open: Cell<usize>,
    /// Those of them that calls hold which hang and were written off: others may be opened for them, once.
    written_off: Cell<usize>,
    connecting: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<Option<Box<H1>>>>>,
}

/// What the policy allows this worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) connections: usize,
    pub(crate) connecting: usize,
    pub(crate) keepalive: Duration,
}

impl EndpointPool {
    pub(crate) fn new(endpoint: &Arc<Endpoint>, bounds: Bounds) -> Rc<Self> {
        Rc::new(Self {
            endpoint: Arc::clone(endpoint),
            load: Load::default(),
            bounds: Cell::new(bounds),
            idle: RefCell::default(),
            shared: RefCell::default(),
            open: Cell::new(0),
            written_off: Cell::new(0),
            connecting: Cell::new(0),
            waiting: RefCell::default(),
        })
    }

    pub(crate) fn set_bounds(&self, bounds: Bounds) {
        let before = self.bounds.replace(bounds).connections;
        for _ in before..bounds.connections.min(before.saturating_add(MAX_WAITING)) {
            self.wake_one();
        }
    }

    /// A connection that is ready now, if there is one.
    pub(crate) fn ready(self: &Rc<Self>, now: Nanos) -> Option<Lease> {
        if let Some(h2) = self.open_h2() {
            return Some(Lease::shared(h2, self));
        }
        loop {
            let mut h1 = self.idle.borrow_mut().pop()?;
            let fresh = now.since(h1.idle_since) < self.bounds.get().keepalive;
            if fresh && h1.is_ready() {
                return Some(Lease::own(h1, self));
            }
        }
    }

    /// Whether another connection may be opened.
    pub(crate) fn has_room(&self) -> bool {
        self.open.get() < self.allowed() && self.connecting.get() < self.bounds.get().connecting
    }

    /// How many connections there may be.
    fn allowed(&self) -> usize {
        let bound = self.bounds.get().connections;
        bound.saturating_add(self.written_off.get().min(bound))
    }

    /// A call that has a connection to itself hangs, and is not counted on.
    pub(crate) fn write_off(&self) {
        self.written_off.set(self.written_off.get().saturating_add(1));
        self.wake_one();
    }

    /// A call that was written off is over.
    pub(crate) fn settle_written_off(&self) {
        self.written_off.set(self.written_off.get().saturating_sub(1));
    }

    /// Waits until a connection is given back, or none if there may be room for a new one. At the front of the line
    /// for who waits `again`. Bounded in time by the caller.
    ///
    /// # Errors
    /// Too many wait.
    pub(crate) async fn turn(self: &Rc<Self>, again: bool) -> Result<Option<Lease>, Failure> {
        Ok(match self.wait(again)?.await {
            Some(h1) => Some(Lease::own(h1, self)),
            // It may be that the shared connection has room again.
            None => self.open_h2().map(|h2| Lease::shared(h2, self)),
        })
    }

    /// Closes what has idled too long or was closed by the endpoint.
    pub(crate) fn sweep(self: &Rc<Self>, now: Nanos) {
        let keepalive = self.bounds.get().keepalive;
        // Taken out first: a connection that closes tells the pool so.
        let mut idle = std::mem::take(&mut *self.idle.borrow_mut());
        idle.retain_mut(|h1| now.since(h1.idle_since) < keepalive && h1.is_ready());
        idle.iter_mut().for_each(|h1| h1.rest());
        self.idle.borrow_mut().append(&mut idle);
        self.shared.borrow_mut().retain(|h2| h2.is_open());
    }

    fn open_h2(&self) -> Option<Rc<H2>> {
        let shared = self.shared.borrow();
        shared.iter().find(|h2| h2.has_room()).map(Rc::clone)
    }

    /// A new connection. Bounded in time by the caller.
    pub(crate) async fn open(self: &Rc<Self>, cluster: &Cluster) -> Result<Lease, Failure> {
        let (slot, connecting) = (Slot::take(self), Connecting::begin(self));
        let (stream, is_h2) = dial::dial(cluster, &self.endpoint.address).await?;
        let counted = Counted::connection(&self.endpoint);
        if !is_h2 {
            return Ok(Lease::own(Box::new(H1::new(stream, (slot, counted))), self));
        }
        let failed = "the endpoint closed during the handshake";
        let h2 = H2::handshake(stream, (slot, counted))
            .await
            .map_err(|_| Failure::unsent(Outcome::ConnectionTerminated, failed))?;
        drop(connecting);
        self.shared.borrow_mut().push(Rc::clone(&h2));
        // Whoever waits may share it.
        for waiter in std::mem::take(&mut *self.waiting.borrow_mut()) {
            let _ = waiter.send(None);
        }
        Ok(Lease::shared(h2, self))
    }

    /// A place in the line; at its front for who was called and found the room taken.
    fn wait(&self, again: bool) -> Result<Turn<'_>, Failure> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= MAX_WAITING {
            waiting.retain(|waiter| !waiter.is_closed());
        }
        if waiting.len() >= MAX_WAITING {
            return Err(Failure::unsent(Outcome::ConnectionLimitReached, "too many wait for a connection"));
        }
        let (sender, receiver) = oneshot::channel();
        if again {
            waiting.push_front(sender);
        } else {
            waiting.push_back(sender);
        }
        Ok(Turn { pool: self, receiver })
    }

    /// Takes a connection back: to the next waiter, or to rest.
    fn give_back(&self, mut h1: Box<H1>, now: Nanos) {
        h1.idle_since = now;
        loop {
            let Some(waiter) = self.waiting.borrow_mut().pop_front() else { break };
            match waiter.send(Some(h1)) {
                Ok(()) => return,
                Err(Some(returned)) => h1 = returned,
                Err(None) => return,
            }
        }
        self.idle.borrow_mut().push(h1);
    }

    /// Calls the next in line if there is room for another connection or stream.
    fn wake_one(&self) {
        if !self.has_room() && self.open_h2().is_none() {
            return;
        }
        while let Some(waiter) = self.waiting.borrow_mut().pop_front() {
            if waiter.send(None).is_ok() {
                return;
            }
        }
    }
}

/// A place in the line. Who leaves it after being called passes the call on.
struct Turn<'a> {
    pool: &'a EndpointPool,
    receiver: oneshot::Receiver<Option<Box<H1>>>,
}

impl Future for Turn<'_> {
    type Output = Option<Box<H1>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(cx).map(Result::unwrap_or_default)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        match self.receiver.try_recv() {
            Ok(Some(h1)) => {
                let since = h1.idle_since;
                self.pool.give_back(h1, since);
            }
            Ok(None) => self.pool.wake_one(),
            Err(_) => {}
        }
    }
}

/// One connection of the bound, open or being opened.
pub(crate) struct Slot(Weak<EndpointPool>);

impl Slot {
    fn take(pool: &Rc<EndpointPool>) -> Self {
        pool.open.set(pool.open.get().saturating_add(1));
        Self(Rc::downgrade(pool))
    }

    /// Of no pool.
    #[cfg(test)]
    pub(crate) const fn none() -> Self {
        Self(Weak::new())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.open.set(pool.open.get().saturating_sub(1));
            pool.wake_one();
        }
    }
}

/// One connection being opened.
struct Connecting<'a>(&'a EndpointPool);

impl<'a> Connecting<'a> {
    fn begin(pool: &'a EndpointPool) -> Self {
        pool.connecting.set(pool.connecting.get().saturating_add(1));
        Self(pool)
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.connecting.set(self.0.connecting.get().saturating_sub(1));
        self.0.wake_one();
    }
}

/// A connection on loan to one exchange. Dropped without [`Lease::finish`], an HTTP/1.1 connection is closed
/// and an HTTP/2 stream reset.
pub(crate) struct Lease {
    pub(crate) carrier: Carrier,
    pool: Rc<EndpointPool>,
}

/// What carries the exchange.
pub(crate) enum Carrier {
    Own(Box<H1>),
    /// With the body of the answer, once its head has come.
    Shared(Rc<H2>, Option<Incoming>),
    /// Given back.
    Returned,
}

impl Lease {
    fn own(h1: Box<H1>, pool: &Rc<EndpointPool>) -> Self {
        Self::begin(Carrier::Own(h1), pool)
    }

    fn shared(h2: Rc<H2>, pool: &Rc<EndpointPool>) -> Self {
        h2.streams.set(h2.streams.get().saturating_add(1));
        Self::begin(Carrier::Shared(h2, None), pool)
    }

    fn begin(carrier: Carrier, pool: &Rc<EndpointPool>) -> Self {
        pool.endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        pool.load.begin();
        Self { carrier, pool: Rc::clone(pool) }
    }

    /// The next piece of the answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.carrier {
            Carrier::Own(h1) => h1.poll_frame(cx),
            Carrier::Shared(_, Some(body)) => {
                Pin::new(body).poll_frame(cx).map(|item| item.map(|frame| frame.map_err(|_| BrokenOff)))
            }
            Carrier::Shared(_, None) | Carrier::Returned => Poll::Ready(None),
        }
    }

    /// All of the answer has been handed on.
    pub(crate) fn is_end_stream(&self) -> bool {
        match &self.carrier {
            Carrier::Own(h1) => h1.is_end_stream(),
            Carrier::Shared(_, body) => body.as_ref().is_none_or(Body::is_end_stream),
            Carrier::Returned => true,
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.carrier {
            Carrier::Own(h1) => h1.size_hint(),
            Carrier::Shared(_, Some(body)) => body.size_hint(),
            Carrier::Shared(_, None) | Carrier::Returned => SizeHint::with_exact(0),
        }
    }

    /// The pool whose connection it has to itself; none if others share it.
    pub(crate) const fn own_pool(&self) -> Option<&Rc<EndpointPool>> {
        match self.carrier {
            Carrier::Own(_) => Some(&self.pool),
            Carrier::Shared(..) | Carrier::Returned => None,
        }
    }

    pub(crate) fn endpoint_id(&self) -> u64 {
        self.pool.endpoint.id
    }

    /// The answer is not wanted: its connection serves on if the rest is here already, else it is closed.
    pub(crate) fn discard(mut self, now: Nanos) {
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(_))) = self.poll_frame(&mut cx) {}
        if self.is_end_stream() {
            self.finish(now);
        }
    }

    /// Memory that the next answer on this connection may use.
    pub(crate) fn recycle(&mut self, headers: HeaderMap) {
        if let Carrier::Own(h1) = &mut self.carrier {
            h1.recycle(headers);
        }
    }

    /// After a 101: the stream, which is nobody else's any more.
    pub(crate) fn switch(&mut self) -> Option<Switched> {
        match std::mem::replace(&mut self.carrier, Carrier::Returned) {
            Carrier::Own(h1) => Some(h1.into_switched()),
            Carrier::Shared(..) | Carrier::Returned => None,
        }
    }

    /// The answer is complete: the connection goes back to the pool if it can serve again.
    pub(crate) fn finish(&mut self, now: Nanos) {
        // Whether the endpoint has closed since shows when it is taken; a waiter takes it now.
        if let Carrier::Own(h1) = &mut self.carrier
            && h1.is_complete()
            // Fewer may be allowed by now: those beyond go as they come back.
            && self.pool.open.get() <= self.pool.allowed()
            && (self.pool.waiting.borrow().is_empty() || h1.is_ready())
            && let Carrier::Own(h1) = std::mem::replace(&mut self.carrier, Carrier::Returned)
        {
            self.pool.give_back(h1, now);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.pool.load.end();
        if let Carrier::Shared(h2, _) = &self.carrier {
            h2.streams.set(h2.streams.get().saturating_sub(1));
            self.pool.wake_one();
        }
    }
}
