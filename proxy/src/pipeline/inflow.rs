//! The request's body on its way to the upstream: streamed, counted, and its stalls attributed.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use outrigger_filters::clock::{Clock, Nanos, SystemClock};

/// After an early answer, so much of the rest of a request is read and thrown away before the connection is
/// closed: closing over unread bytes makes the kernel reset it and the client lose the answer.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_millis(200);

/// What the exchange knows of the request's body while the upstream connection reads it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) bytes: Cell<u64>,
    /// Since when the client owes us bytes.
    pub(crate) client_stalled: Cell<Option<Nanos>>,
    /// Last time the upstream side asked for bytes or took some.
    pub(crate) last: Cell<Nanos>,
    /// When the body ended; until then the upstream cannot be blamed for not answering.
    pub(crate) ended: Cell<Option<Nanos>>,
    /// The client broke off or sent something malformed.
    pub(crate) broken: Cell<bool>,
}

/// The body of a request we send.
pub(crate) enum RequestBody {
    Empty,
    Streaming(Box<Inflow>),
}

/// A client's body.
pub(crate) struct Inflow {
    /// None once it has been handed to the drain.
    incoming: Option<Incoming>,
    /// Taken for a try that did not send it.
    returned: Bytes,
    progress: Rc<Progress>,
    clock: SystemClock,
}

impl RequestBody {
    pub(crate) fn streaming(incoming: Incoming, progress: &Rc<Progress>, clock: SystemClock) -> Self {
        progress.last.set(clock.now());
        let (progress, returned) = (Rc::clone(progress), Bytes::new());
        Self::Streaming(Box::new(Inflow { incoming: Some(incoming), returned, progress, clock }))
    }

    /// The piece that was taken last has not been sent; it comes again.
    pub(crate) fn put_back(&mut self, data: Bytes) {
        if let Self::Streaming(inflow) = self {
            inflow.returned = data;
        }
    }
}

impl Inflow {
    fn note(&self, polled: &Poll<Option<Result<Frame<Bytes>, hyper::Error>>>) {
        let progress = &self.progress;
        match polled {
            Poll::Pending => {
                if progress.client_stalled.get().is_none() {
                    progress.client_stalled.set(Some(self.clock.now()));
                }
            }
            Poll::Ready(item) => {
                let now = self.clock.now();
                progress.client_stalled.set(None);
                progress.last.set(now);
                match item {
                    Some(Ok(frame)) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                        progress.bytes.set(progress.bytes.get().saturating_add(bytes));
                    }
                    Some(Err(_)) => progress.broken.set(true),
                    None => progress.ended.set(Some(now)),
                }
                if self.incoming.as_ref().is_some_and(Body::is_end_stream) {
                    progress.ended.set(Some(now));
                }
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self::Streaming(inflow) = self.get_mut() else { return Poll::Ready(None) };
        if !inflow.returned.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut inflow.returned)))));
        }
        let Some(incoming) = &mut inflow.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        inflow.note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(inflow) => {
                inflow.returned.is_empty() && inflow.incoming.as_ref().is_none_or(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(inflow) => {
                inflow.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
            }
        }
    }
}

impl Drop for Inflow {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && self.progress.ended.get().is_none()
            && !self.progress.broken.get()
        {
            drain(incoming);
        }
    }
}

/// Reads on for a moment so that the client gets to see the answer. See [`DRAIN_BYTES`].
pub(crate) fn drain(mut incoming: Incoming) {
    if incoming.is_end_stream() {
        return;
    }
    tokio::task::spawn_local(tokio::time::timeout(DRAIN_TIME, async move {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = incoming.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(size) else { return };
            left = rest;
        }
    }));
}
