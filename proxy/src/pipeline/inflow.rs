//! The request's body on its way to the upstream: streamed, counted, and its stalls attributed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use outrigger_filters::clock::{Clock, Nanos, SystemClock};
use outrigger_filters::isolation::Bytes as Held;

use crate::hygiene::may_trail;

/// After an early answer, so much of the rest of a request is read and thrown away before the connection is
/// closed: closing over unread bytes makes the kernel reset it and the client lose the answer.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_millis(200);

/// What the exchange knows of the request's body while the upstream connection reads it.
#[derive(Default)]
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
    /// What was read of it, while all of that is kept.
    kept: RefCell<Option<Kept>>,
}

/// A body that is kept so that it can be sent again.
struct Kept {
    pieces: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    left: u64,
    /// The dependency's leave to hold it.
    held: Option<Held>,
}

impl Kept {
    /// Keeps a piece; false if there is no room for it.
    fn add(&mut self, frame: &Frame<Bytes>) -> bool {
        let Some(data) = frame.data_ref() else {
            self.trailers = frame.trailers_ref().cloned();
            return true;
        };
        let size = data.len() as u64;
        let Some(left) = self.left.checked_sub(size) else { return false };
        self.left = left;
        // A copy: the piece itself may be a small part of a large buffer.
        self.pieces.push(Bytes::copy_from_slice(data));
        self.held.as_mut().is_none_or(|held| held.grow(size).is_ok())
    }
}

impl Progress {
    /// From now on, keeps the body up to `limit` bytes, if `held` grants them.
    pub(crate) fn keep(&self, limit: u64, held: Option<Held>) {
        if limit > 0 {
            let kept = Kept { pieces: Vec::new(), trailers: None, left: limit, held };
            *self.kept.borrow_mut() = Some(kept);
        }
    }

    /// All of the body was read, and is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.ended.get().is_some() && self.kept.borrow().is_some()
    }

    /// The body that is kept.
    pub(crate) fn again(&self) -> RequestBody {
        let kept = self.kept.borrow();
        let Some(kept) = kept.as_ref() else { return RequestBody::Empty };
        let data = kept.pieces.iter().cloned().map(Frame::data);
        let frames: VecDeque<_> = data.chain(kept.trailers.clone().map(Frame::trailers)).collect();
        RequestBody::Kept(frames)
    }

    fn note(&self, frame: &Frame<Bytes>) {
        let mut kept = self.kept.borrow_mut();
        if kept.as_mut().is_some_and(|kept| !kept.add(frame)) {
            *kept = None;
        }
    }
}

/// The body of a request we send.
pub(crate) enum RequestBody {
    Empty,
    Streaming(Box<Inflow>),
    /// Once more.
    Kept(VecDeque<Frame<Bytes>>),
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
        match self {
            Self::Streaming(inflow) => inflow.returned = data,
            Self::Kept(frames) if !data.is_empty() => frames.push_front(Frame::data(data)),
            Self::Kept(_) | Self::Empty => {}
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
                        progress.note(frame);
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

/// The guard refuses such trailers on HTTP/1.1; on HTTP/2 they come this far.
fn without_bad_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    let is_bad = |trailers: &HeaderMap| trailers.keys().any(|name| !may_trail(name.as_str()));
    if !frame.trailers_ref().is_some_and(is_bad) {
        return frame;
    }
    let trailers = frame.into_trailers().unwrap_or_default();
    let mut good = HeaderMap::new();
    for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name.as_str())) {
        good.append(name, value.clone());
    }
    Frame::trailers(good)
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let inflow = match self.get_mut() {
            Self::Empty => return Poll::Ready(None),
            Self::Kept(frames) => return Poll::Ready(frames.pop_front().map(Ok)),
            Self::Streaming(inflow) => inflow,
        };
        if !inflow.returned.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut inflow.returned)))));
        }
        let Some(incoming) = &mut inflow.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx).map_ok(without_bad_trailers);
        inflow.note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Kept(frames) => frames.is_empty(),
            Self::Streaming(inflow) => {
                inflow.returned.is_empty() && inflow.incoming.as_ref().is_none_or(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Kept(frames) => {
                let sizes = frames.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64);
                SizeHint::with_exact(sizes.sum())
            }
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
