//! The request on its way out: fed from its client's body, one frame at a time, and given back if nothing left.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Body;

use super::encode::{self, Output, WrongLength};
use crate::pipeline::inflow::RequestBody;

/// The request on its way out.
pub(super) struct Sending {
    /// None once all of it is written.
    pub(super) body: Option<RequestBody>,
    pub(super) output: Output,
    pub(super) framing: encode::Framing,
    /// Encoded to its end.
    pub(super) encoded: bool,
    /// Something of it has left, as far as can be known: the upstream may have seen it.
    pub(super) left: bool,
}

impl Sending {
    pub(super) fn nothing() -> Self {
        Self {
            body: None,
            output: Output::default(),
            framing: encode::Framing::Length(0),
            encoded: true,
            left: false,
        }
    }

    /// Puts the next piece of the request into the output, unless one is still there.
    pub(super) fn feed(&mut self, cx: &mut Context<'_>) -> Result<Fed, Trouble> {
        let Self { body: Some(body), output, framing, encoded, left } = self else { return Ok(Fed::All) };
        if *encoded || output.holds_data() {
            return Ok(if *encoded { Fed::All } else { Fed::Frame });
        }
        let trailers = match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Pending => return Ok(Fed::Nothing),
            Poll::Ready(Some(Err(_))) => return Err(Trouble::Client),
            Poll::Ready(None) => None,
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    output.data(framing, data)?;
                    if !(body.is_end_stream() && *framing == encode::Framing::Length(0)) {
                        return Ok(Fed::Frame);
                    }
                    None
                }
                Err(frame) => frame.into_trailers().ok(),
            },
        };
        output.end(framing, trailers.as_ref())?;
        *encoded = true;
        // They cannot be given back, so this request is not sent again.
        *left |= trailers.is_some();
        Ok(Fed::All)
    }

    /// The body as it was, if nothing of the request has left.
    pub(super) fn take_back(&mut self) -> Option<RequestBody> {
        let mut body = self.body.take_if(|_| !self.left)?;
        body.put_back(self.output.take_data());
        Some(body)
    }
}

/// What [`Sending::feed`] did.
pub(super) enum Fed {
    /// There is a frame to write, then more to feed.
    Frame,
    /// The client owes bytes.
    Nothing,
    /// The request is encoded to its end.
    All,
}

/// Why sending or waiting ended.
pub(super) enum Trouble {
    /// The client broke off, or its body is not as long as it said.
    Client,
    Io(io::Error),
}

impl Trouble {
    pub(super) fn closed() -> Self {
        Self::Io(io::ErrorKind::UnexpectedEof.into())
    }
}

impl From<WrongLength> for Trouble {
    fn from(_: WrongLength) -> Self {
        Self::Client
    }
}
