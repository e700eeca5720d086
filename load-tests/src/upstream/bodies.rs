//! Response bodies: canned, repeated without being held in memory, or fed by a task.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Why a scripted body ended early.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// Any response body of the upstream.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;

/// What large bodies are made of.
static BLOCK: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// A body in one piece.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}

/// `length` times `x`, with a content length; memory use does not depend on it.
pub(crate) fn repeated(length: u64) -> Body {
    Repeated { left: length, sized: true }.map_err(never).boxed_unsync()
}

/// `length` times `x` without a content length, so chunked on HTTP/1.1.
pub(crate) fn chunked(length: u64) -> Body {
    Repeated { left: length, sized: false }.map_err(never).boxed_unsync()
}

/// A body a task feeds.
pub(crate) fn fed() -> (Sender<Bytes, BodyError>, Body) {
    let (sender, body) = Channel::new(4);
    (sender, body.boxed_unsync())
}

/// At most one block of filler.
pub(crate) fn filler(length: usize) -> Bytes {
    Bytes::from_static(BLOCK.get(..length).unwrap_or(&BLOCK))
}

const fn never(error: Infallible) -> BodyError {
    match error {}
}

struct Repeated {
    left: u64,
    sized: bool,
}

impl HttpBody for Repeated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let piece = filler(usize::try_from(this.left).unwrap_or(usize::MAX));
        this.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.sized { SizeHint::with_exact(self.left) } else { SizeHint::default() }
    }
}
