//! A request as bytes of HTTP/1.1 (RFC 9112 §3, §7): head, then the body in its framing, one frame at a time.

use std::io::{IoSlice, Write as _};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Request, header};

/// Slices that one write may have: what comes before the data, the data, what comes after it.
const SLICES: usize = 3;

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still owed. Without a length, none.
    Length(u64),
    Chunked,
}

/// The body is longer or shorter than its head says; nothing right can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongLength;

/// Bytes on their way out.
#[derive(Debug, Default)]
pub(super) struct Output {
    before: Vec<u8>,
    written: usize,
    data: Bytes,
    after: &'static [u8],
}

impl Output {
    /// Begins a request; its fields stand as they are to be sent, `more` writes others. `has_body`: frames follow.
    pub(super) fn head(
        &mut self,
        request: &Request<()>,
        more: impl FnOnce(&mut Vec<u8>),
        has_body: bool,
    ) -> Result<Framing, WrongLength> {
        self.clear();
        let out = &mut self.before;
        out.extend_from_slice(request.method().as_str().as_bytes());
        out.push(b' ');
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        out.extend_from_slice(target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        let mut length = None;
        for (name, value) in request.headers() {
            if name == header::CONTENT_LENGTH {
                length = Some(value);
            }
            field(out, name.as_str(), value.as_bytes());
        }
        more(out);
        let framing = match length {
            Some(length) => Framing::Length(number(length.as_bytes()).ok_or(WrongLength)?),
            None if has_body => {
                out.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Framing::Chunked
            }
            None => Framing::Length(0),
        };
        out.extend_from_slice(b"\r\n");
        Ok(framing)
    }

    /// Adds a piece of the body. Not before the last one has left.
    pub(super) fn data(&mut self, framing: &mut Framing, data: Bytes) -> Result<(), WrongLength> {
        if data.is_empty() {
            // In chunks, this would be the end.
            return Ok(());
        }
        match framing {
            Framing::Length(left) => *left = left.checked_sub(data.len() as u64).ok_or(WrongLength)?,
            Framing::Chunked => {
                // Writing to memory does not fail.
                let _ = write!(self.before, "{:x}\r\n", data.len());
                self.after = b"\r\n";
            }
        }
        self.data = data;
        Ok(())
    }

    /// Adds the end of the body.
    pub(super) fn end(&mut self, framing: &Framing, trailers: Option<&HeaderMap>) -> Result<(), WrongLength> {
        match framing {
            Framing::Length(0) => Ok(()),
            Framing::Length(_) => Err(WrongLength),
            Framing::Chunked => {
                let out = &mut self.before;
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    field(out, name.as_str(), value.as_bytes());
                }
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }

    /// Whether a piece of the body has not wholly left yet.
    pub(super) fn holds_data(&self) -> bool {
        !self.data.is_empty() || !self.after.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.written >= self.before.len() && !self.holds_data()
    }

    /// All of it in one slice, if it is in one piece.
    pub(super) fn single(&self) -> Option<&[u8]> {
        if self.holds_data() { None } else { self.before.get(self.written..) }
    }

    pub(super) fn slices(&self) -> [IoSlice<'_>; SLICES] {
        let before = self.before.get(self.written..).unwrap_or_default();
        [IoSlice::new(before), IoSlice::new(&self.data), IoSlice::new(self.after)]
    }

    /// `count` bytes have left.
    pub(super) fn advance(&mut self, count: usize) {
        let before = count.min(self.before.len().saturating_sub(self.written));
        self.written = self.written.saturating_add(before);
        let rest = count.saturating_sub(before);
        let data = rest.min(self.data.len());
        self.data.advance(data);
        let after = rest.saturating_sub(data);
        self.after = self.after.get(after..).unwrap_or_default();
        if self.is_empty() {
            self.clear();
        }
    }

    /// The piece of the body, if none of it has left.
    pub(super) fn take_data(&mut self) -> Bytes {
        std::mem::take(&mut self.data)
    }

    /// Drops what has not left.
    pub(super) fn clear(&mut self) {
        self.before.clear();
        self.written = 0;
        self.data = Bytes::new();
        self.after = b"";
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Decimal digits and nothing else (RFC 9110 §8.6).
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::post("/a?b=c").body(()).unwrap();
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request
    }

    /// What is on the wire after all of `frames`, and then `trailers`.
    fn wire(request: &Request<()>, frames: &[&'static str], trailers: Option<&HeaderMap>) -> String {
        let mut output = Output::default();
        let mut framing = output.head(request, |_| (), true).unwrap();
        let mut wire = Vec::new();
        let mut drain = |output: &mut Output| {
            while !output.is_empty() {
                // Two bytes at a time, so that every border is crossed.
                let bytes: Vec<u8> =
                    output.slices().iter().flat_map(|slice| slice.to_vec()).take(2).collect();
                output.advance(bytes.len());
                wire.extend(bytes);
            }
        };
        for frame in frames {
            output.data(&mut framing, Bytes::from_static(frame.as_bytes())).unwrap();
            drain(&mut output);
        }
        output.end(&framing, trailers).unwrap();
        drain(&mut output);
        String::from_utf8(wire).unwrap()
    }

    #[test]
    fn writes_a_body_of_known_length_as_it_is() {
        let request = request(&[("host", "a"), ("content-length", "5")]);
        let head = "POST /a?b=c HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(wire(&request, &["hel", "", "lo"], None), format!("{head}hello"));
    }

    #[test]
    fn writes_a_body_of_unknown_length_in_chunks_with_trailers() {
        let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("t"), "1".parse().unwrap())]);
        let head = "POST /a?b=c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let wire = wire(&request(&[("host", "a")]), &["hello", "", "0123456789abcdef"], Some(&trailers));
        assert_eq!(wire, format!("{head}5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nt: 1\r\n\r\n"));
    }

    #[test]
    fn says_nothing_of_a_body_that_is_not_there() {
        let mut output = Output::default();
        assert_eq!(output.head(&request(&[("host", "a")]), |_| (), false), Ok(Framing::Length(0)));
        assert_eq!(output.single(), Some(&b"POST /a?b=c HTTP/1.1\r\nhost: a\r\n\r\n"[..]));
    }

    #[test]
    fn never_sends_more_or_less_than_the_head_says() {
        let mut output = Output::default();
        let mut framing = output.head(&request(&[("content-length", "3")]), |_| (), true).unwrap();
        assert_eq!(output.data(&mut framing, Bytes::from_static(b"four")), Err(WrongLength));
        assert_eq!(output.end(&framing, None), Err(WrongLength));
        for bad in ["", "+3", "3, 3", "99999999999999999999"] {
            assert_eq!(
                output.head(&request(&[("content-length", bad)]), |_| (), true),
                Err(WrongLength),
                "{bad}"
            );
        }
    }
}
