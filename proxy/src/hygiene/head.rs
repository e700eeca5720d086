//! One request head, verified line by line as its lines arrive (RFC 9112 §3, §5, §6).
use super::lines::Line;
use super::{Malformed, class, field, hop, host, target};

/// How the message goes on behind its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Length(u64),
    Chunked,
}

/// What a verified head asks of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) body: Body,
    /// WebSocket or CONNECT: the bytes behind the head may be of another protocol.
    pub(super) switches_protocol: bool,
    pub(super) expects_continue: bool,
}

/// What has been read of a head so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    request: Option<RequestLine>,
    /// The one empty line that RFC 9112 §2.2 lets stand before a request line has been seen.
    blank: bool,
    fields: usize,
    host: Option<Span>,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    expect: bool,
    content_type: bool,
}

#[derive(Debug)]
struct RequestLine {
    old_version: bool,
    connect: bool,
    authority: Option<(Span, bool)>,
}

/// A place in the head, which stays where it is until the head is finished.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn of(self, head: &[u8]) -> &[u8] {
        head.get(self.start..self.end).unwrap_or_default()
    }
}

impl Head {
    /// Takes one line; `Some` once it was the head's last. `head` is all the lines so far.
    #[inline]
    pub(super) fn line(
        &mut self,
        head: &[u8],
        line: &Line<'_>,
        max_fields: usize,
    ) -> Result<Option<Facts>, Malformed> {
        match (&self.request, line.bytes) {
            (Some(_), []) => self.finish(head).map(Some),
            (Some(_), _) => self.field(line, max_fields).map(|()| None),
            (None, []) if self.blank => Err(Malformed::EmptyLines),
            (None, []) => {
                self.blank = true;
                Ok(None)
            }
            (None, _) => {
                self.request = Some(RequestLine::parse(line)?);
                Ok(None)
            }
        }
    }

    /// Bytes that do not yet count as the beginning of a head.
    pub(super) const fn blank_bytes(&self) -> usize {
        if self.blank { 2 } else { 0 }
    }

    /// What is wrong with a head that does not end within its limit.
    pub(super) const fn too_large(&self) -> Malformed {
        if self.request.is_none() { Malformed::TargetTooLong } else { Malformed::HeadTooLarge }
    }

    #[inline]
    fn field(&mut self, line: &Line<'_>, max_fields: usize) -> Result<(), Malformed> {
        let (name, value) = field::parse(line.bytes)?;
        self.fields += 1;
        if self.fields > max_fields {
            return Err(Malformed::TooManyFields);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.set_host(line, value),
            6 if name.eq_ignore_ascii_case(b"expect") => self.set_expect(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade |= hop::asks_for_websocket(value);
                Ok(())
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                once(&mut self.content_type, Malformed::ContentTypeRepeated)
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.set_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.set_encoding(value),
            14 | 17 if field::is_lookalike(name) => Err(Malformed::Lookalike),
            _ => Ok(()),
        }
    }

    fn set_host(&mut self, line: &Line<'_>, value: &[u8]) -> Result<(), Malformed> {
        if self.host.is_some() {
            return Err(Malformed::HostRepeated);
        }
        if !host::is_valid(value) {
            return Err(Malformed::Host);
        }
        // A valid host has no white space, and neither has the name before it: the value is what is left of
        // the line once the white space behind it is gone.
        let trailing = line.bytes.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let end = line.start + line.bytes.len() - trailing;
        self.host = Some(Span { start: end - value.len(), end });
        Ok(())
    }

    fn set_expect(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.expect || !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Malformed::Expectation);
        }
        self.expect = true;
        Ok(())
    }

    fn set_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.length.is_some() {
            return Err(Malformed::ContentLengthRepeated);
        }
        self.length = Some(parse_length(value).ok_or(Malformed::ContentLength)?);
        Ok(())
    }

    fn set_encoding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::TransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }

    fn finish(&self, head: &[u8]) -> Result<Facts, Malformed> {
        let Some(request) = &self.request else { return Err(Malformed::RequestLine) };
        let body = self.body(request)?;
        self.check_host(request, head)?;
        if body != Body::None && request.connect {
            return Err(Malformed::ConnectWithBody);
        }
        if body != Body::None && self.upgrade {
            return Err(Malformed::UpgradeWithBody);
        }
        Ok(Facts {
            body,
            switches_protocol: self.upgrade || request.connect,
            expects_continue: self.expect && !request.old_version,
        })
    }

    fn body(&self, request: &RequestLine) -> Result<Body, Malformed> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Malformed::LengthAndEncoding),
            (true, None) if request.old_version => Err(Malformed::TransferEncodingInOldVersion),
            (true, None) => Ok(Body::Chunked),
            (false, None | Some(0)) => Ok(Body::None),
            (false, Some(length)) => Ok(Body::Length(length)),
        }
    }

    fn check_host(&self, request: &RequestLine, head: &[u8]) -> Result<(), Malformed> {
        let Some(named) = self.host else {
            return if request.old_version { Ok(()) } else { Err(Malformed::HostMissing) };
        };
        let Some((authority, secure)) = request.authority else { return Ok(()) };
        let bare = |span: Span| host::without_default_port(span.of(head), secure);
        if bare(named).eq_ignore_ascii_case(bare(authority)) { Ok(()) } else { Err(Malformed::HostMismatch) }
    }
}

impl RequestLine {
    #[inline]
    fn parse(line: &Line<'_>) -> Result<Self, Malformed> {
        let (method, rest) = match line.bytes.split_at_checked(class::span(line.bytes, class::TOKEN)) {
            Some((method @ [_, ..], [b' ', rest @ ..])) => (method, rest),
            Some((_, [])) => return Err(Malformed::RequestLine),
            _ => return Err(Malformed::Method),
        };
        let (uri, version) = split_at_space(rest)?;
        let old_version = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(Malformed::Version),
            _ => return Err(Malformed::RequestLine),
        };
        let uri_start = line.start + method.len() + 1;
        let authority = target::check(method, uri)?
            .map(|found| (Span { start: uri_start + found.start, end: uri_start + found.end }, found.secure));
        Ok(Self { old_version, connect: method == b"CONNECT", authority })
    }
}

fn split_at_space(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let space = memchr::memchr(b' ', bytes).ok_or(Malformed::RequestLine)?;
    let (before, after) = bytes.split_at_checked(space).ok_or(Malformed::RequestLine)?;
    Ok((before, after.get(1..).unwrap_or_default()))
}

/// Lengths end at `i64::MAX`: some reader behind us may count in signed numbers.
fn parse_length(value: &[u8]) -> Option<u64> {
    if !matches!(value.len(), 1..=19) {
        return None;
    }
    let length = value.iter().try_fold(0u64, |length, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })?;
    (length <= i64::MAX as u64).then_some(length)
}

fn once(seen: &mut bool, repeated: Malformed) -> Result<(), Malformed> {
    if std::mem::replace(seen, true) { Err(repeated) } else { Ok(()) }
}
