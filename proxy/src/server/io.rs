//! The bytes of a client's connection: framing checked before the HTTP parser sees them, every wait bounded.
//!
//! hyper's parser forgives what a strict one refuses, and its one head timeout also runs while a connection
//! idles. So this layer reads first. The [`Guard`] holds back a head until it is whole and unambiguous; a
//! malformed one is replaced by a request of our own that the pipeline answers with 400, so answers stay in
//! order. Idle time, the time for a head and the pace of a reader are counted here, each by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use outrigger_filters::clock::{Clock, Nanos, SystemClock};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::linger::Linger;
use super::signals::{Signals, Trouble};
use crate::hygiene::guard::{Guard, Verdict};
use crate::timer::Alarm;
use crate::upstream::stream::Stream;

/// Stands in for a malformed head. What is wrong is in [`Signals`].
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: malformed\r\nconnection: close\r\n\r\n";
/// A client that cannot take this many bytes in a [`Times::write`] has stopped reading (240 B/s over 30 s).
const MIN_WRITTEN: usize = 7200;

/// How long each kind of waiting may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) head: Duration,
    pub(crate) idle: Duration,
    pub(crate) write: Duration,
}

/// A client's byte stream.
pub(crate) struct ClientIo {
    stream: Stream,
    /// None on HTTP/2, whose framing has no such ambiguity.
    guard: Option<Guard>,
    signals: Arc<Signals>,
    /// Read but not handed on; the first `ready` of them may be.
    held: Vec<u8>,
    ready: usize,
    /// Nothing more is read: the stand-in was the last request.
    closed: bool,
    clock: SystemClock,
    times: Times,
    read_alarm: Alarm,
    /// When the present wait for a head, or for a request, began.
    waiting_since: Option<(Wait, Nanos)>,
    write_alarm: Alarm,
    writing: Option<Window>,
    /// Goes out before anything that hyper writes.
    first: Vec<u8>,
    /// Our side is closed; what the client still sends is only read to spare it a reset.
    shut: bool,
    linger: Linger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Head,
    Idle,
}

/// How much a slow reader took since `start`.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: Nanos,
    last: Nanos,
    written: usize,
}

impl ClientIo {
    /// `first` was read already, to tell HTTP/2 from HTTP/1.
    pub(crate) fn new(
        stream: Stream,
        first: Vec<u8>,
        guard: Option<Guard>,
        signals: &Arc<Signals>,
        clock: SystemClock,
        times: Times,
    ) -> Self {
        let mut io = Self {
            stream,
            guard,
            signals: Arc::clone(signals),
            held: first,
            ready: 0,
            closed: false,
            clock,
            times,
            read_alarm: Alarm::default(),
            waiting_since: None,
            write_alarm: Alarm::default(),
            writing: None,
            first: Vec::new(),
            shut: false,
            linger: Linger::default(),
        };
        // Trouble found here is kept and shown by the first read.
        if !io.held.is_empty() {
            io.inspect_held();
        }
        io
    }

    fn inspect_held(&mut self) {
        let Some(guard) = &mut self.guard else {
            self.ready = self.held.len();
            return;
        };
        let inspected = guard.inspect(&self.held);
        self.ready = inspected.release;
        if self.ready > 0 {
            self.waiting_since = None;
        }
        if let Verdict::Malformed(malformed) = inspected.verdict {
            self.give_up(Trouble::Malformed(malformed));
        }
    }

    /// After the bytes already released comes the stand-in, then the end. Within a body there is no place for
    /// a stand-in: the read fails.
    fn give_up(&mut self, trouble: Trouble) {
        let (heads, in_body) = match &self.guard {
            Some(guard) => (guard.heads_verified(), guard.in_body()),
            None => (0, false),
        };
        self.signals.set_trouble(trouble, heads);
        self.closed = true;
        self.held.truncate(self.ready);
        if !in_body {
            self.held.extend_from_slice(STAND_IN);
            self.ready = self.held.len();
        }
    }

    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let size = self.ready.min(buf.remaining());
        if let Some(bytes) = self.held.get(..size) {
            buf.put_slice(bytes);
        }
        self.held.drain(..size);
        self.ready = self.ready.saturating_sub(size);
        if self.held.is_empty() {
            // Held bytes are rare and may have been many.
            self.held = Vec::new();
        }
    }

    fn take_signals(&mut self) {
        let Some(guard) = self.guard.as_mut().filter(|guard| guard.holding_for_upgrade()) else { return };
        if self.signals.is_tunnel() {
            self.guard = None;
            self.ready = self.held.len();
        } else if self.signals.take_resume() {
            guard.resume();
            self.inspect_held();
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.waiting_since = None;
        let Some(guard) = &mut self.guard else { return Poll::Ready(Ok(())) };
        let inspected = guard.inspect(fresh);
        if inspected.release < fresh.len() {
            self.held.extend_from_slice(fresh.get(inspected.release..).unwrap_or_default());
            buf.set_filled(before.saturating_add(inspected.release));
        }
        if let Verdict::Malformed(malformed) = inspected.verdict {
            self.give_up(Trouble::Malformed(malformed));
        }
        Poll::Ready(Ok(()))
    }

    /// Reads more of what is held back. True at the end of the stream.
    fn poll_fill_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [0_u8; 4096];
        let mut buf = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        if buf.filled().is_empty() {
            return Poll::Ready(Ok(true));
        }
        self.held.extend_from_slice(buf.filled());
        self.inspect_held();
        Poll::Ready(Ok(false))
    }

    /// Nothing to read now: how long may that last?
    fn poll_wait(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(guard) = &self.guard else { return Poll::Pending };
        let wait = if guard.in_head() {
            Wait::Head
        } else if guard.between_messages() && self.signals.in_flight() == 0 {
            Wait::Idle
        } else {
            self.waiting_since = None;
            return Poll::Pending;
        };
        let since = match self.waiting_since {
            Some((known, since)) if known == wait => since,
            // It idles since its last answer, or since it came.
            _ => match self.signals.ended().filter(|_| wait == Wait::Idle) {
                Some(ended) => ended,
                None => self.clock.now(),
            },
        };
        self.waiting_since = Some((wait, since));
        let limit = if wait == Wait::Head { self.times.head } else { self.times.idle };
        ready!(self.read_alarm.poll_at(cx, &self.clock, since.after(limit)));
        if wait == Wait::Head {
            self.ready = 0;
            self.give_up(Trouble::SlowHead);
            self.deliver(buf);
        }
        // For an idle connection: nothing read means the end, and hyper closes it.
        Poll::Ready(Ok(()))
    }

    /// A write could not go on: is the client reading at all?
    fn poll_write_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let now = self.clock.now();
        let limit = self.times.write;
        let mut window = self.writing.filter(|window| now.since(window.last) <= limit.saturating_mul(2));
        if window.is_some_and(|window| window.written >= MIN_WRITTEN) {
            window = None;
        }
        let window =
            window.map_or(Window { start: now, last: now, written: 0 }, |w| Window { last: now, ..w });
        self.writing = Some(window);
        ready!(self.write_alarm.poll_at(cx, &self.clock, window.start.after(limit)));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))
    }

    fn written(&mut self, polled: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Ok(size)) => {
                if let Some(window) = &mut self.writing {
                    window.written = window.written.saturating_add(size);
                }
                Poll::Ready(Ok(size))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_write_wait(cx).map(Err),
        }
    }
}

impl ClientIo {
    /// Writes what goes before an answer.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(first) = self.signals.take_first() {
            self.first.extend(first);
        }
        while !self.first.is_empty() {
            let polled = Pin::new(&mut self.stream).poll_write(cx, &self.first);
            let written = ready!(self.written(polled, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.first.drain(..written.min(self.first.len()));
        }
        Poll::Ready(Ok(()))
    }

    /// TLS keeps records of its own: a flush, and a farewell, can wait for a client as a write can.
    fn flushed(&mut self, polled: Poll<io::Result<()>>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if polled.is_pending() { self.poll_write_wait(cx).map(Err) } else { polled }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.take_signals();
        loop {
            if this.ready > 0 {
                this.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            if this.closed {
                let in_body = this.guard.as_ref().is_some_and(Guard::in_body);
                let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed body");
                // The stand-in is the last request and says so: hyper closes once it is answered. An end of
                // the stream, seen before the answer is out, would count as a client that has left.
                return if in_body { Poll::Ready(Err(malformed())) } else { Poll::Pending };
            }
            if this.guard.as_ref().is_some_and(Guard::holding_for_upgrade) {
                // What follows an upgrade stays in the socket until the upstream has answered.
                this.signals.await_answer(cx.waker());
                return Poll::Pending;
            }
            let before = buf.filled().len();
            let polled = if this.held.is_empty() {
                this.poll_fill(cx, buf).map_ok(|()| buf.filled().len() == before && this.held.is_empty())
            } else {
                this.poll_fill_held(cx)
            };
            match polled {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(_)) if buf.filled().len() > before => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(true)) if this.ready == 0 && !this.closed => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return this.poll_wait(cx, buf),
            }
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_first(cx))?;
        this.signals.set_writes(true);
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_first(cx))?;
        this.signals.set_writes(true);
        let polled = this.stream.poll_write_slices(cx, bufs);
        this.written(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_first(cx))?;
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        // hyper flushes when it has nothing left to write.
        this.signals.set_writes(polled.is_pending());
        this.flushed(polled, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            let polled = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.flushed(polled, cx))?;
            this.shut = true;
        }
        if this.closed || this.guard.as_ref().is_some_and(Guard::in_body) {
            ready!(this.linger.poll(cx, &mut this.stream, &this.clock));
        }
        Poll::Ready(Ok(()))
    }
}
