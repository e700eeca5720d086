//! An answer read from pieces of its bytes, without a connection: for the fuzz target `answer` and its twin among
//! the tests, and no part of what this crate offers.

use bytes::BytesMut;
use http::{HeaderMap, Response};

use super::decode::{Framing, Step};
use super::head::{self, Head};

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Status and fields of each head, interim ones included.
    pub heads: Vec<(u16, HeaderMap)>,
    /// All of the body that was handed on.
    pub body: Vec<u8>,
    /// The fields behind it.
    pub trailers: Option<HeaderMap>,
    /// Bytes behind the answer, or of what is not whole yet.
    pub left: usize,
    /// How far it got.
    pub end: End,
}

/// How far an answer got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Its head is not whole.
    #[default]
    InHead,
    /// Its body is not whole, or has no end but the connection's.
    InBody,
    /// Whole.
    Whole,
    /// Refused.
    Refused,
}

/// Reads `wire` as it would be read if it came in pieces of `size` bytes.
#[must_use]
pub fn read(wire: &[u8], size: usize, to_head: bool) -> Read {
    let (mut reader, mut read) = (Reader::default(), Read::default());
    for piece in wire.chunks(size.max(1)) {
        reader.input.extend_from_slice(piece);
        read.end = match reader.go_on(&mut read, to_head) {
            Some(end) => end,
            None => End::Refused,
        };
        if read.end == End::Refused {
            return read;
        }
    }
    read.left = reader.input.len();
    read
}

#[derive(Default)]
struct Reader {
    input: BytesMut,
    looked: usize,
    framing: Option<Framing>,
}

impl Reader {
    fn go_on(&mut self, read: &mut Read, to_head: bool) -> Option<End> {
        while self.framing.is_none() {
            let Some((head, response)) = self.head(to_head)? else { return Some(End::InHead) };
            let status = response.status();
            if !status.is_informational() {
                self.framing = Some(head.framing);
            }
            read.heads.push((status.as_u16(), response.into_parts().0.headers));
        }
        let framing = self.framing.as_mut()?;
        loop {
            match framing.step(&mut self.input).ok()? {
                Step::Data(data) => read.body.extend_from_slice(&data),
                Step::Trailers(fields) => read.trailers = Some(fields),
                Step::More => return Some(End::InBody),
                Step::End => return Some(End::Whole),
            }
        }
    }

    fn head(&mut self, to_head: bool) -> Option<Option<(Head, Response<()>)>> {
        let (mut head, mut response) = (None, Response::new(()));
        if head::may_be_whole(&self.input, self.looked) {
            let (mut places, mut headers) = (head::Places::new(), HeaderMap::new());
            head = head::parse(&mut self.input, (&mut places, &mut headers), to_head, &mut response).ok()?;
        }
        self.looked = if head.is_some() { 0 } else { self.input.len() };
        Some(head.map(|head| (head, response)))
    }
}
