//! One connection to an endpoint and how it is driven.
//!
//! An HTTP/1.1 connection has no task of its own: whoever has it on loan polls it, first for the head of the
//! answer, then from the body of the reply. That saves two task switches a request, notices a closed connection
//! when it is taken from the pool, and closes the socket the moment the exchange is dropped. An HTTP/2
//! connection is shared, so it has a task.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use outrigger_filters::clock::Nanos;

use super::cluster::Endpoint;
use super::last_words::LastWords;
use super::muffle::Muffled;
use super::pool::Slot;
use super::stream::Stream;
use crate::pipeline::inflow::RequestBody;
use crate::worker::LocalExecutor;

/// Bytes of an answer's head that are accepted. Of fields, hyper accepts 100; asking for another number costs an
/// allocation for each head.
const MAX_HEAD_BYTES: usize = 128 * 1024;
/// What one HTTP/2 stream and one connection may have in flight towards us: bounds memory, feeds fast bodies.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// Times a connection is polled before its task lets others have a turn.
const MAX_ROUNDS: usize = 4;

/// Requests on one HTTP/2 connection before another is opened; what servers commonly allow.
const MAX_STREAMS: usize = 100;

/// hyper does not name the type of a connection that may be upgraded.
type Driver = dyn Future<Output = hyper::Result<()>>;
pub(crate) type SendResult = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// Counts a connection or a request of an endpoint while it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Endpoint>, Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Connection,
    Request,
}

impl Counted {
    pub(crate) fn connection(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(endpoint), Kind::Connection)
    }

    pub(crate) fn request(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(endpoint), Kind::Request)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let gauge = match self.1 {
            Kind::Connection => &self.0.open,
            Kind::Request => &self.0.in_flight,
        };
        gauge.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An HTTP/1.1 connection, used by one exchange at a time.
pub(crate) struct H1 {
    send: http1::SendRequest<RequestBody>,
    /// None once it has ended.
    driver: Option<Pin<Box<Driver>>>,
    muffled: Muffled,
    /// When it was last given back.
    pub(crate) idle_since: Nanos,
    _held: (Slot, Counted),
}

impl H1 {
    pub(crate) async fn handshake(stream: Stream, held: (Slot, Counted)) -> hyper::Result<Self> {
        let (send, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .handshake(TokioIo::new(LastWords::new(stream)))
            .await?;
        let driver: Option<Pin<Box<Driver>>> = Some(Box::pin(connection.with_upgrades()));
        Ok(Self { send, driver, muffled: Muffled::new(), idle_since: Nanos(0), _held: held })
    }

    /// Moves bytes. Ready once the connection has ended.
    pub(crate) fn poll_drive(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(driver) = &mut self.driver else { return Poll::Ready(()) };
        for _ in 0..MAX_ROUNDS {
            let (polled, called) = self.muffled.run(cx, |cx| driver.as_mut().poll(cx));
            if polled.is_ready() {
                self.driver = None;
                return Poll::Ready(());
            }
            if !called {
                return Poll::Pending;
            }
        }
        // Still not at rest: others get their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Looks for what the connection has handed over. Whoever finds nothing drives it next, so nobody need be
    /// woken for what is asked of it here.
    pub(crate) fn look<T>(&self, cx: &Context<'_>, look: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.muffled.run(cx, |_| look(&mut Context::from_waker(Waker::noop()))).0
    }

    /// True if another request may be sent: the last answer is complete. Should the endpoint have closed since,
    /// that shows before anything is sent, and the request goes elsewhere.
    pub(crate) fn is_ready(&mut self) -> bool {
        (self.driver.is_some() && self.send.is_ready()) || self.is_reusable()
    }

    /// True if another request may be sent and the endpoint has not closed.
    pub(crate) fn is_reusable(&mut self) -> bool {
        // Nobody is to be woken: an idle connection is looked at when it is wanted.
        self.poll_drive(&Context::from_waker(Waker::noop())).is_pending() && self.send.is_ready()
    }

    pub(crate) fn send(&mut self, request: Request<RequestBody>) -> impl Future<Output = SendResult> + use<> {
        self.send.try_send_request(request)
    }
}

/// A shared HTTP/2 connection.
pub(crate) struct H2 {
    send: http2::SendRequest<RequestBody>,
    pub(crate) streams: Cell<usize>,
}

impl H2 {
    /// Speaks HTTP/2 on `stream`; `held` is let go when the connection is over.
    pub(crate) async fn handshake(stream: Stream, held: (Slot, Counted)) -> hyper::Result<Rc<Self>> {
        let (send, connection) = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::task::spawn_local(async move {
            // How it ended, the requests on it have learnt already.
            let _ = connection.await;
            drop(held);
        });
        Ok(Rc::new(Self { send, streams: Cell::new(0) }))
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.send.is_closed()
    }

    pub(crate) async fn send(&self, request: Request<RequestBody>) -> SendResult {
        let mut send = self.send.clone();
        send.try_send_request(request).await
    }

    /// Whether another request may share it.
    pub(crate) fn has_room(&self) -> bool {
        !self.send.is_closed() && self.streams.get() < MAX_STREAMS
    }
}
