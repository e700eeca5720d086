//! The end of a connection whose client is still sending.
//!
//! Closing a socket over bytes nobody has read makes the kernel reset the connection, and the client may lose the
//! answer that told it why. So when an answer has been written and more is coming (the body of a request refused
//! early, what follows a malformed head), our side is closed first and a bounded amount is read and thrown away
//! (RFC 9112 §9.6).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use outrigger_filters::clock::{Clock, Nanos, SystemClock};
use tokio::io::{AsyncRead, ReadBuf};

use crate::timer::Alarm;

const BYTES: usize = 64 * 1024;
const TIME: Duration = Duration::from_millis(200);

/// How far the last reading has come.
#[derive(Debug, Default)]
pub(crate) struct Linger {
    /// When to stop, and how many bytes may still come.
    left: Option<(Nanos, usize)>,
    alarm: Alarm,
}

impl Linger {
    /// Ready once the client has closed, or has had its time or its bytes.
    pub(crate) fn poll<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        clock: &SystemClock,
    ) -> Poll<()> {
        let (until, left) = self.left.get_or_insert_with(|| (clock.now().after(TIME), BYTES));
        let mut space = [0_u8; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut space);
            match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
                Poll::Pending => return self.alarm.poll_at(cx, clock, *until),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => match left.checked_sub(buf.filled().len()) {
                    Some(rest) if rest < *left => *left = rest,
                    _ => return Poll::Ready(()),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn linger(mut stream: impl AsyncRead + Unpin) {
        let (mut linger, clock) = (Linger::default(), SystemClock::start());
        std::future::poll_fn(|cx| linger.poll(cx, &mut stream, &clock)).await;
    }

    #[tokio::test]
    async fn reads_until_the_client_closes() {
        linger(&b"the rest of a body"[..]).await;
    }

    #[tokio::test]
    async fn reads_no_more_than_its_bytes_of_a_client_that_never_stops() {
        linger(tokio::io::repeat(b'x')).await;
    }

    #[tokio::test]
    async fn waits_no_longer_than_its_time_for_a_client_that_is_silent() {
        let (_client, ours) = tokio::io::duplex(16);
        linger(ours).await;
    }
}
