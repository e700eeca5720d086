//! The head of an answer (RFC 9112 §4, §6.3): status and fields, how its body is framed, whether the connection
//! may serve again.
//!
//! Where two readers could take the framing differently (lengths that are repeated, odd or beside a transfer
//! coding; a coding that is not `chunked` alone) the answer is refused, because the next reader is the client.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

use super::decode::Framing;
use super::encode::number;

/// Fields of an answer that are accepted.
pub(super) const MAX_FIELDS: usize = 100;
/// Bytes of an answer's head that are accepted.
pub(super) const MAX_BYTES: usize = 128 * 1024;

/// What a head says about what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) framing: Framing,
    /// The connection serves on after this answer.
    pub(super) keeps: bool,
}

/// Why a head cannot be used; the text is for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad(pub(super) &'static str);

const NOT_HTTP: Bad = Bad("the answer is not valid HTTP");
const TOO_LARGE: Bad = Bad("the answer's head is too large");
const AMBIGUOUS: Bad = Bad("the answer can be framed in two ways");

/// Where the fields of a message stand in it. Kept between messages for its memory.
pub(super) type Places = Vec<(Range<usize>, Range<usize>)>;

/// Whether `buf` may hold a whole head now, of which the first `looked` bytes hold none. A server that sends its
/// head byte by byte would have each of them read as often as there are others behind it.
pub(super) fn may_be_whole(buf: &[u8], looked: usize) -> bool {
    let fresh = buf.get(looked.saturating_sub(2)..).unwrap_or(buf);
    let is_end = |at: usize| matches!(fresh.get(at..), Some([_, b'\n', ..] | [_, b'\r', b'\n', ..]));
    (looked == 0 && !buf.is_empty()) || buf.len() > MAX_BYTES || memchr::memchr_iter(b'\n', fresh).any(is_end)
}

/// Moves a head from `buf` into `response`, if a whole one is there. `headers` is an empty map with memory to reuse.
pub(super) fn parse(
    buf: &mut BytesMut,
    (places, headers): (&mut Places, &mut HeaderMap),
    to_head: bool,
    response: &mut Response<()>,
) -> Result<Option<Head>, Bad> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut found = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut found, buf, &mut fields);
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) if length <= MAX_BYTES => length,
        Ok(httparse::Status::Partial) if buf.len() <= MAX_BYTES => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(TOO_LARGE),
        Err(_) => return Err(NOT_HTTP),
    };
    let status = found.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(NOT_HTTP)?;
    let is_11 = found.version == Some(1);
    locate(buf, found.headers, places);
    let head = buf.split_to(length).freeze();
    let mut framed = Framed::default();
    for place in places.iter() {
        let (name, value) = field(&head, place).ok_or(NOT_HTTP)?;
        framed.note(&name, &value);
        headers.append(name, value);
    }
    let framing = framed.framing(status, is_11, to_head)?;
    let keeps = framed.keeps(is_11) && framing != Framing::UntilClose;
    *response.status_mut() = status;
    *response.version_mut() = if is_11 { Version::HTTP_11 } else { Version::HTTP_10 };
    *response.headers_mut() = std::mem::take(headers);
    Ok(Some(Head { framing, keeps }))
}

/// Takes the trailers and the empty line after them out of `buf`, if all of it is there; at most `most` bytes.
pub(super) fn trailers(buf: &mut BytesMut, most: usize) -> Result<Option<HeaderMap>, Bad> {
    // Almost always there are none.
    if buf.starts_with(b"\r\n") {
        let _ = buf.split_to(2);
        return Ok(Some(HeaderMap::new()));
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let (length, found) = match httparse::parse_headers(buf, &mut fields) {
        Ok(httparse::Status::Complete((length, found))) if length <= most => (length, found),
        Ok(httparse::Status::Partial) if buf.len() <= most => return Ok(None),
        Ok(_) => return Err(TOO_LARGE),
        Err(_) => return Err(NOT_HTTP),
    };
    let mut places = Places::new();
    locate(buf, found, &mut places);
    let section = buf.split_to(length).freeze();
    let fields = places.iter().map(|place| field(&section, place));
    fields.collect::<Option<HeaderMap>>().map(Some).ok_or(NOT_HTTP)
}

fn locate(buf: &[u8], fields: &[httparse::Header<'_>], places: &mut Places) {
    let base = buf.as_ptr().addr();
    let place = |part: &[u8]| {
        let start = part.as_ptr().addr().saturating_sub(base);
        start..start.saturating_add(part.len())
    };
    places.clear();
    places.extend(fields.iter().map(|field| (place(field.name.as_bytes()), place(field.value))));
}

fn field(message: &Bytes, (name, value): &(Range<usize>, Range<usize>)) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(message.get(name.clone())?).ok()?;
    // A slice of the message, not a copy.
    let value = HeaderValue::from_maybe_shared(message.slice(value.clone())).ok()?;
    Some((name, value))
}

/// What the fields say about framing.
#[derive(Default)]
struct Framed {
    length: Option<Option<u64>>,
    codings: usize,
    is_chunked: bool,
    odd: bool,
    close: bool,
    keep_alive: bool,
}

impl Framed {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) {
        if *name == CONTENT_LENGTH {
            self.odd |= self.length.replace(number(value.as_bytes())).is_some();
        } else if *name == TRANSFER_ENCODING {
            self.codings = self.codings.saturating_add(1);
            self.is_chunked = value.as_bytes().eq_ignore_ascii_case(b"chunked");
        } else if *name == CONNECTION {
            for option in value.as_bytes().split(|byte| *byte == b',') {
                let option = option.trim_ascii();
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
    }

    fn framing(&self, status: StatusCode, is_11: bool, to_head: bool) -> Result<Framing, Bad> {
        let framing = match (self.length, self.codings) {
            _ if self.odd => return Err(AMBIGUOUS),
            (None, 0) => Framing::UntilClose,
            (Some(length), 0) => Framing::Length(length.ok_or(AMBIGUOUS)?),
            (None, 1) if self.is_chunked && is_11 => Framing::CHUNKED,
            _ => return Err(AMBIGUOUS),
        };
        let has_none = to_head || status.is_informational() || matches!(status.as_u16(), 204 | 304);
        Ok(if has_none { Framing::NONE } else { framing })
    }

    const fn keeps(&self, is_11: bool) -> bool {
        !self.close && (is_11 || self.keep_alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(buf: &mut BytesMut, to_head: bool) -> Result<Option<(Head, Response<()>)>, Bad> {
        let mut response = Response::new(());
        let memory = (&mut Places::new(), &mut HeaderMap::new());
        Ok(parse(buf, memory, to_head, &mut response)?.map(|head| (head, response)))
    }

    fn read(wire: &str, to_head: bool) -> Result<Option<Head>, Bad> {
        Ok(take(&mut BytesMut::from(wire), to_head)?.map(|(head, _)| head))
    }

    #[test]
    fn waits_for_a_whole_head_and_leaves_the_body() {
        let wire = "HTTP/1.1 200 OK\r\nServer: a\r\nX-B:  c \r\ncontent-length: 2\r\n\r\nok";
        for cut in 0..wire.len() - 2 {
            assert!(read(&wire[..cut], false).unwrap().is_none(), "{cut}");
        }
        let mut buf = BytesMut::from(wire);
        let (head, response) = take(&mut buf, false).unwrap().unwrap();
        assert_eq!((response.status(), head.framing, head.keeps), (StatusCode::OK, Framing::Length(2), true));
        assert_eq!((&response.headers()["x-b"], &buf[..]), (&HeaderValue::from_static("c"), &b"ok"[..]));
    }

    #[test]
    fn knows_how_each_answer_ends() {
        let cases = [
            ("200 OK\r\ncontent-length: 5\r\n", Framing::Length(5)),
            ("200 OK\r\ntransfer-encoding: Chunked\r\n", Framing::CHUNKED),
            ("200 OK\r\n", Framing::UntilClose),
            ("204 No Content\r\n", Framing::NONE),
            ("304 Not Modified\r\ncontent-length: 5\r\n", Framing::NONE),
            ("101 Switching Protocols\r\n", Framing::NONE),
        ];
        for (rest, framing) in cases {
            let head = read(&format!("HTTP/1.1 {rest}\r\n"), false).unwrap().unwrap();
            assert_eq!(head.framing, framing, "{rest}");
            assert_eq!(head.keeps, framing != Framing::UntilClose, "{rest}");
        }
        let head = read("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true).unwrap().unwrap();
        assert_eq!((head.framing, head.keeps), (Framing::NONE, true));
    }

    #[test]
    fn keeps_a_connection_only_if_the_upstream_does() {
        for (version, connection, keeps) in [
            ("1.1", "x", true),
            ("1.1", "Close", false),
            ("1.1", "x, close", false),
            ("1.0", "x", false),
            ("1.0", "Keep-Alive", true),
        ] {
            let wire =
                format!("HTTP/{version} 200 OK\r\nconnection: {connection}\r\ncontent-length: 0\r\n\r\n");
            assert_eq!(read(&wire, false).unwrap().unwrap().keeps, keeps, "{version} {connection}");
        }
    }

    #[test]
    fn refuses_what_can_be_framed_in_two_ways() {
        for fields in [
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length:\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: identity\r\n",
        ] {
            let wire = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert_eq!(read(&wire, false).unwrap_err(), AMBIGUOUS, "{fields}");
        }
        assert_eq!(
            read("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", false).unwrap_err(),
            AMBIGUOUS
        );
    }

    #[test]
    fn refuses_what_is_not_http_or_too_large() {
        for wire in
            ["SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\na b: c\r\n\r\n"]
        {
            assert_eq!(read(wire, false).unwrap_err(), NOT_HTTP, "{wire}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(read(&many, false).unwrap_err(), TOO_LARGE);
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MAX_BYTES));
        assert_eq!(read(&long, false).unwrap_err(), TOO_LARGE);
    }
}
