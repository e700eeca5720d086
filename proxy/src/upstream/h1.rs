//! An HTTP/1.1 connection to an endpoint, used by one exchange at a time.
//!
//! It has no task of its own and no channel inside: whoever has it on loan polls it, first for the head of the
//! answer, then from the body of the reply. Request and answer are moved by the same calls, so a body that is
//! still being sent goes on while the answer comes. Dropping the connection closes the socket at once.
//!
//! Why not hyper's client: it hands each request and each piece of a body from one task to another through
//! channels, which cost a quarter of all instructions of a proxied request, and it cannot say whether a byte of a
//! request has left. hyper serves clients (`server`) and speaks HTTP/2 (`h2`).
//!
//! Limit: what polls is the reply, so a request's body waits while the client does not take the answer to it. A
//! client that sends all of a large request before it reads a large answer, of a server that answers early, is
//! ended by the timeouts.
//!
//! A server may answer before it has read the request's body, and close. What is still written is then reset;
//! that is no error here: the rest of the request goes nowhere, and the next read brings the answer if there is
//! one, else the end.

mod decode;
mod encode;
mod head;
pub mod pieces;
mod sending;
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use outrigger_filters::clock::Nanos;
use outrigger_filters::outcome::Outcome;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::task::coop::unconstrained;

use super::connection::Counted;
use super::pool::Slot;
use super::stream::Stream;
use super::switched::Switched;
use crate::failure::Failure;
use crate::pipeline::inflow::RequestBody;
use decode::{Framing, Step};
use sending::{Fed, Sending, Trouble};

pub(crate) use encode::WrongLength;

/// Read at once: at first, and at most if more is certain to come.
const READ: usize = 8 * 1024;
const MAX_READ: usize = 64 * 1024;

/// Interim answers before the final one; more is an attack or a loop.
const MAX_INTERIM: usize = 32;

/// Why a request got no answer on this connection.
pub(crate) enum Unanswered {
    /// Not a byte of it has left: it can be sent elsewhere.
    Unsent(RequestBody),
    Failed(Failure),
}

/// Which head came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A 1xx other than 101; another will follow.
    Interim,
    Final,
}

/// The answer broke off, or its framing is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BrokenOff;

/// See the module.
pub(crate) struct H1 {
    stream: Stream,
    sending: Sending,
    input: BytesMut,
    /// Bytes to ask for at once: grows while reads are full.
    read: usize,
    /// So many bytes of the input hold no whole head.
    looked: usize,
    /// How the answer's body goes on. None: its head has not come.
    answer: Option<Framing>,
    interim: usize,
    to_head: bool,
    /// Serves on after this answer.
    keeps: bool,
    /// When it was last given back.
    pub(crate) idle_since: Nanos,
    /// Memory for the next answer's fields.
    headers: HeaderMap,
    places: head::Places,
    held: (Slot, Counted),
}

impl H1 {
    pub(crate) fn new(stream: Stream, held: (Slot, Counted)) -> Self {
        Self {
            stream,
            sending: Sending::nothing(),
            input: BytesMut::new(),
            read: READ,
            looked: 0,
            answer: Some(Framing::NONE),
            interim: 0,
            to_head: false,
            keeps: true,
            idle_since: Nanos(0),
            headers: HeaderMap::new(),
            places: head::Places::new(),
            held,
        }
    }

    /// True if another request may be sent: the last answer is complete and the endpoint neither closed nor said
    /// anything unasked since. Nobody is woken: an idle connection is looked at when it is wanted.
    pub(crate) fn is_ready(&mut self) -> bool {
        if !self.is_complete() {
            return false;
        }
        // A task that has used up its turn would be told to wait without a look at the socket.
        let mut look = unconstrained(poll_fn(|cx| self.poll_fill(cx)));
        Pin::new(&mut look).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Both messages have passed whole, with nothing behind them, and the endpoint goes on.
    pub(crate) fn is_complete(&self) -> bool {
        self.keeps && self.sending.body.is_none() && self.is_end_stream() && self.input.is_empty()
    }

    /// Gives back memory that an idle connection does not need.
    pub(crate) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Takes up a request; [`H1::poll_head`] sends it. Its fields are what is sent, and behind them what `more`
    /// writes; the framing of a body whose length is not among them is added.
    pub(crate) fn begin(
        &mut self,
        request: &Request<()>,
        more: impl FnOnce(&mut Vec<u8>),
        body: RequestBody,
    ) -> Result<(), WrongLength> {
        self.to_head = *request.method() == Method::HEAD;
        self.answer = None;
        (self.interim, self.looked) = (0, 0);
        let has_body = !body.is_end_stream();
        self.sending.framing = self.sending.output.head(request, more, has_body)?;
        (self.sending.encoded, self.sending.left) = (false, false);
        self.sending.body = Some(body);
        Ok(())
    }

    /// Memory for the fields of the next answer.
    pub(crate) fn recycle(&mut self, mut headers: HeaderMap) {
        headers.clear();
        self.headers = headers;
    }

    /// Sends, and waits for a head, which goes to `response`.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        response: &mut Response<()>,
    ) -> Poll<Result<Heard, Unanswered>> {
        if let Err(trouble) = self.poll_send(cx) {
            return Poll::Ready(Err(self.unanswered(trouble)));
        }
        loop {
            match self.take_head(response) {
                Ok(Some(heard)) => return Poll::Ready(Ok(heard)),
                Ok(None) => {}
                Err(head::Bad(why)) => {
                    let failure = Failure::sent(Outcome::HttpProtocolError, why);
                    return Poll::Ready(Err(Unanswered::Failed(failure)));
                }
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(Err(self.unanswered(Trouble::closed()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.unanswered(Trouble::Io(error)))),
            }
        }
    }

    /// The next piece of the answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.sending.body.is_some() && self.poll_send(cx).is_err() {
            // What counts from now on is the answer.
            self.deafen();
        }
        loop {
            let Some(framing) = &mut self.answer else { return Poll::Ready(None) };
            match framing.step(&mut self.input) {
                Ok(Step::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Step::Trailers(fields)) => return Poll::Ready(Some(Ok(Frame::trailers(fields)))),
                Ok(Step::End) => return Poll::Ready(None),
                Ok(Step::More) => {}
                Err(decode::Broken) => return Poll::Ready(Some(Err(BrokenOff))),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) if self.answer == Some(Framing::UntilClose) => {
                    self.answer = Some(Framing::NONE);
                    return Poll::Ready(None);
                }
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(BrokenOff))),
                Ok(_) => {}
            }
        }
    }

    /// All of the answer has been handed on.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.answer.is_some_and(|framing| framing.is_done())
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.answer.map_or_else(SizeHint::default, |framing| framing.size_hint())
    }

    /// After a 101: the bare stream.
    pub(crate) fn into_switched(self) -> Switched {
        Switched::new(self.stream, self.input, self.held)
    }

    /// Takes a head, if one is there.
    fn take_head(&mut self, response: &mut Response<()>) -> Result<Option<Heard>, head::Bad> {
        let mut found = None;
        if head::may_be_whole(&self.input, self.looked) {
            let memory = (&mut self.places, &mut self.headers);
            found = head::parse(&mut self.input, memory, self.to_head, response)?;
        }
        let Some(found) = found else {
            self.looked = self.input.len();
            return Ok(None);
        };
        self.looked = 0;
        let status = response.status();
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            self.interim = self.interim.saturating_add(1);
            return match self.interim {
                ..=MAX_INTERIM => Ok(Some(Heard::Interim)),
                _ => Err(head::Bad("the upstream sends interim answers without end")),
            };
        }
        self.answer = Some(found.framing);
        // It may be lost already: the rest of the request went nowhere.
        self.keeps &= found.keeps;
        Ok(Some(Heard::Final))
    }

    /// Sends what can be sent now. What cannot is no error: the task is woken when it can.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Trouble> {
        while self.sending.body.is_some() {
            let fed = self.sending.feed(cx)?;
            match self.poll_write(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) if self.sending.left && is_closed(&error) => self.deafen(),
                Poll::Ready(Err(error)) => return Err(Trouble::Io(error)),
                Poll::Ready(Ok(())) => match fed {
                    Fed::Frame => {}
                    Fed::Nothing => return Ok(()),
                    Fed::All => self.sending.body = None,
                },
            }
        }
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let output = &mut self.sending.output;
        while !output.is_empty() {
            let written = ready!(match output.single() {
                Some(bytes) => Pin::new(&mut self.stream).poll_write(cx, bytes),
                None => self.stream.poll_write_slices(cx, &output.slices()),
            });
            // TLS makes several writes of one, and when a later one fails the first have left.
            self.sending.left |= written.is_err() && self.stream.is_tls();
            let written = written?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.advance(written);
            self.sending.left = true;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// The rest of the request goes nowhere.
    fn deafen(&mut self) {
        self.keeps = false;
        self.sending.body = None;
        self.sending.output.clear();
    }

    /// Reads more; 0 at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let expected = self.answer.map_or(0, |framing| framing.expected());
        let size = usize::try_from(expected).unwrap_or(MAX_READ).clamp(self.read, MAX_READ);
        self.input.reserve(size);
        let room = self.input.capacity().saturating_sub(self.input.len());
        let count = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        if count >= room {
            self.read = self.read.saturating_mul(2).min(MAX_READ);
        } else if count < self.read / 4 {
            self.read = (self.read / 2).max(READ);
        }
        Poll::Ready(Ok(count))
    }

    fn unanswered(&mut self, trouble: Trouble) -> Unanswered {
        let sent = self.sending.left;
        match trouble {
            Trouble::Client => Unanswered::Failed(Failure {
                outcome: Outcome::ClientCancelled,
                sent,
                detail: "the client broke off its request",
            }),
            Trouble::Io(error) => match self.sending.take_back() {
                Some(body) => Unanswered::Unsent(body),
                None => Unanswered::Failed(Failure { sent, ..Failure::of_stream(&error) }),
            },
        }
    }
}

/// After these a socket has nothing more to say than it has received, so a read never waits.
fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
