//! The stream of a connection that has switched protocols, with what was read of it before.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Counted;
use super::pool::Slot;
use super::stream::Stream;

/// A stream whose first bytes may have been read with the head of the 101. Counts as a connection while it lives.
pub(crate) struct Switched {
    stream: Stream,
    early: BytesMut,
    _held: (Slot, Counted),
}

impl Switched {
    pub(super) const fn new(stream: Stream, early: BytesMut, held: (Slot, Counted)) -> Self {
        Self { stream, early, _held: held }
    }
}

impl AsyncRead for Switched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let size = self.early.len().min(buf.remaining());
        buf.put_slice(self.early.get(..size).unwrap_or_default());
        self.early.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Switched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
