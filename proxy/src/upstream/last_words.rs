//! A stream to an upstream whose last words are heard.
//!
//! A server may answer before it has read the request's body, and close: what we still write is then reset, and
//! a client that gives up at the failed write never reads the answer that is waiting in the socket. So a write
//! that fails is no error here: it goes nowhere, as do all after it, and the next read says what became of the
//! connection, which is the answer if there is one, else its end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module.
#[derive(Debug)]
pub(crate) struct LastWords<S> {
    stream: S,
    /// The peer takes nothing any more.
    deaf: bool,
}

impl<S> LastWords<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self { stream, deaf: false }
    }

    /// `polled`, or success with `instead` if the peer has closed.
    fn heard<T>(&mut self, polled: Poll<io::Result<T>>, instead: T) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(Err(error)) if is_closed(&error) => {
                self.deaf = true;
                Poll::Ready(Ok(instead))
            }
            other => other,
        }
    }
}

/// After these a socket has nothing more to say than it has received, so a read never waits.
fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl<S: AsyncRead + Unpin> AsyncRead for LastWords<S> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LastWords<S> {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(buf.len()));
        }
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.heard(polled, buf.len())
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = || bufs.iter().map(|buf| buf.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(all()));
        }
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if polled.is_pending() { Poll::Pending } else { self.heard(polled, all()) }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.heard(polled, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Our end of a connection whose peer said `words`, left our own unread and closed: which is a reset.
    async fn reset_behind(words: &[u8]) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut theirs, _) = listener.accept().await.unwrap();
        ours.write_all(b"unread").await.unwrap();
        theirs.readable().await.unwrap();
        theirs.write_all(words).await.unwrap();
        drop(theirs);
        // Until the reset is there: a write has failed.
        while ours.write_all(b"more").await.is_ok() {
            tokio::task::yield_now().await;
        }
        ours
    }

    #[tokio::test]
    async fn hears_what_was_said_before_the_reset() {
        let mut stream = LastWords::new(reset_behind(b"413").await);
        for _ in 0..3 {
            assert_eq!(stream.write(b"more").await.unwrap(), 4);
            stream.flush().await.unwrap();
        }
        let mut words = Vec::new();
        stream.read_to_end(&mut words).await.unwrap();
        assert_eq!(words, b"413");
    }

    #[tokio::test]
    async fn says_that_it_is_over_when_there_were_no_last_words() {
        let mut stream = LastWords::new(reset_behind(b"").await);
        assert_eq!(stream.write(b"more").await.unwrap(), 4);
        assert!(matches!(stream.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    }
}
