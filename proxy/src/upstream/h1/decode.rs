//! The body of an answer out of its framing (RFC 9112 §6.3, §7.1).

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::SizeHint;

use super::head;
use crate::hygiene::chunk;

/// Longest trailer section.
const MAX_TRAILERS: usize = 32 * 1024;

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    Chunked(Chunk),
    /// Everything until the connection ends.
    UntilClose,
}

/// What comes next of a body in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// A line with the size; so many bytes of extensions were seen.
    Size(usize),
    Data {
        left: u64,
        extensions: usize,
    },
    /// The line end after the data.
    After(usize),
    Trailers,
    Done,
}

/// A step through a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Nothing can be said before more bytes have come.
    More,
    End,
}

/// The framing is broken: where this body ends is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl Framing {
    pub(super) const NONE: Self = Self::Length(0);
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Size(0));

    /// Everything has been handed on.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }

    /// Bytes that are certain to come, so that they can be read at once.
    pub(super) const fn expected(&self) -> u64 {
        match self {
            Self::Length(left) | Self::Chunked(Chunk::Data { left, .. }) => *left,
            Self::Chunked(_) | Self::UntilClose => 0,
        }
    }

    /// Takes the next piece out of `buf`.
    pub(super) fn step(&mut self, buf: &mut BytesMut) -> Result<Step, Broken> {
        match self {
            Self::Length(0) => Ok(Step::End),
            Self::Length(left) => Ok(take(left, buf)),
            Self::UntilClose if buf.is_empty() => Ok(Step::More),
            Self::UntilClose => Ok(Step::Data(buf.split().freeze())),
            Self::Chunked(chunk) => chunk.step(buf),
        }
    }
}

impl Chunk {
    fn step(&mut self, buf: &mut BytesMut) -> Result<Step, Broken> {
        loop {
            match self {
                Self::Done => return Ok(Step::End),
                Self::Size(extensions) => {
                    let Some(line) = line(buf, chunk::MAX_LINE)? else { return Ok(Step::More) };
                    let read = chunk::parse(without_padding(&line)).map_err(|_| Broken)?;
                    let extensions = extensions.saturating_add(read.extensions);
                    if extensions > chunk::MAX_EXTENSIONS {
                        return Err(Broken);
                    }
                    *self = match read.size {
                        0 => Self::Trailers,
                        left => Self::Data { left, extensions },
                    };
                }
                Self::Data { left, extensions } => {
                    let step = take(left, buf);
                    if *left == 0 {
                        *self = Self::After(*extensions);
                    }
                    return Ok(step);
                }
                Self::After(extensions) => match line(buf, 0)? {
                    None => return Ok(Step::More),
                    Some(_) => *self = Self::Size(*extensions),
                },
                Self::Trailers => {
                    let trailers = head::trailers(buf, MAX_TRAILERS).map_err(|_| Broken)?;
                    let Some(trailers) = trailers else { return Ok(Step::More) };
                    *self = Self::Done;
                    return Ok(if trailers.is_empty() { Step::End } else { Step::Trailers(trailers) });
                }
            }
        }
    }
}

/// As much of the data as is there.
fn take(left: &mut u64, buf: &mut BytesMut) -> Step {
    if buf.is_empty() {
        return Step::More;
    }
    let size = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
    *left = left.saturating_sub(size as u64);
    Step::Data(buf.split_to(size).freeze())
}

/// Some servers pad sizes to a fixed width, which harms nobody: what goes on is framed anew.
fn without_padding(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

/// A line of at most `longest` bytes, without its end, which is CRLF and nothing else; none if it is not there yet.
fn line(buf: &mut BytesMut, longest: usize) -> Result<Option<BytesMut>, Broken> {
    let Some(end) = memchr::memchr(b'\n', buf.get(..longest.saturating_add(2)).unwrap_or(buf)) else {
        return if buf.len() > longest.saturating_add(1) { Err(Broken) } else { Ok(None) };
    };
    let mut line = buf.split_to(end.saturating_add(1));
    let text = end.checked_sub(1).filter(|text| line.get(*text) == Some(&b'\r')).ok_or(Broken)?;
    line.truncate(text);
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body out of `wire` if it comes in pieces of `piece` bytes, its trailers, and what is left over.
    fn decode(
        mut framing: Framing,
        wire: &[u8],
        piece: usize,
    ) -> Result<(Vec<u8>, Option<HeaderMap>, BytesMut), Broken> {
        let (mut buf, mut body, mut trailers) = (BytesMut::new(), Vec::new(), None);
        for piece in wire.chunks(piece) {
            buf.extend_from_slice(piece);
            loop {
                match framing.step(&mut buf)? {
                    Step::Data(data) => body.extend_from_slice(&data),
                    Step::Trailers(fields) => trailers = Some(fields),
                    Step::More | Step::End => break,
                }
            }
        }
        assert!(framing.is_done() || framing == Framing::UntilClose, "{framing:?} after {wire:?}");
        Ok((body, trailers, buf))
    }

    #[test]
    fn reads_the_same_body_in_pieces_of_every_size() {
        let chunked = b"5;a=b\r\nhello\r\n1 \r\n!\r\n0\r\nt: 1\r\n\r\nrest";
        for piece in 1..=chunked.len() {
            let (body, trailers, rest) = decode(Framing::CHUNKED, chunked, piece).unwrap();
            assert_eq!((&body[..], &rest[..]), (&b"hello!"[..], &b"rest"[..]), "{piece}");
            assert_eq!(trailers.unwrap()["t"], "1");
            let (body, _, rest) = decode(Framing::Length(5), b"hellorest", piece).unwrap();
            assert_eq!((&body[..], &rest[..]), (&b"hello"[..], &b"rest"[..]));
            assert_eq!(decode(Framing::UntilClose, b"hello", piece).unwrap().0, b"hello");
        }
    }

    #[test]
    fn refuses_chunks_whose_end_is_not_certain() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(300));
        let extended = format!("1;{}\r\n.\r\n", "a".repeat(200)).repeat(30);
        for bad in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello!\r\n0\r\n\r\n",
            "\r\nhello",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "-1\r\n",
            "5\r\r\nhello\r\n0\r\n\r\n",
            "ffffffffffffffff\r\n",
            "0\r\n folded: 1\r\n\r\n",
            &long,
            &extended,
        ] {
            assert_eq!(decode(Framing::CHUNKED, bad.as_bytes(), 7), Err(Broken), "{bad}");
        }
    }

    #[test]
    fn bounds_the_trailers() {
        let many = format!("0\r\n{}", "t: 1\r\n".repeat(10_000));
        assert_eq!(decode(Framing::CHUNKED, many.as_bytes(), 4096), Err(Broken));
    }
}
