//! Canned answers over raw TCP, at the least CPU possible: for benches in which the proxy must be the bottleneck.
//!
//! Reads HTTP/1.1 requests, pipelined or not, that are well formed (a proxy wrote them); `/16k` is answered with
//! 16 KiB, anything else with 128 bytes. Bodies need a content length; a chunked one ends the connection.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SMALL: &[u8] = &canned::<{ HEAD_SMALL.len() + 128 }>(HEAD_SMALL);
const LARGE: &[u8] = &canned::<{ HEAD_LARGE.len() + 16 * 1024 }>(HEAD_LARGE);
const HEAD_SMALL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 128\r\n\r\n";
const HEAD_LARGE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 16384\r\n\r\n";

/// Answers until the client closes.
pub(crate) async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut input = BytesMut::with_capacity(4096);
    let mut output = Vec::new();
    let mut unread = 0_usize;
    while stream.read_buf(&mut input).await? > 0 {
        loop {
            let skip = unread.min(input.len());
            input.advance(skip);
            unread -= skip;
            if unread > 0 {
                break;
            }
            let Some(request) = Request::parse(&input) else { break };
            let Some(length) = request.body else {
                return Ok(());
            };
            output.extend_from_slice(if request.large { LARGE } else { SMALL });
            input.advance(request.head);
            unread = length;
        }
        // The answer to a request waits for its body, as an app that reads what it is sent.
        if unread == 0 && !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
    }
    Ok(())
}

/// What matters of one request head.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    /// Bytes of the head.
    head: usize,
    large: bool,
    /// Length of the body; `None` for one whose end cannot be known from the head.
    body: Option<usize>,
}

impl Request {
    /// The request at the start of `input`, if its head is complete.
    fn parse(input: &[u8]) -> Option<Self> {
        let head = input.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = input.get(..head)?;
        let large = text.splitn(3, |byte| *byte == b' ').nth(1).is_some_and(|path| path == b"/16k");
        // A GET has no body here, so that its headers need not be looked at.
        let body = if text.starts_with(b"GET ") { Some(0) } else { body_length(text) };
        Some(Self { head, large, body })
    }
}

fn body_length(head: &[u8]) -> Option<usize> {
    let mut length = Some(0);
    for line in head.split(|byte| *byte == b'\n') {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(0));
        if name.eq_ignore_ascii_case(b"content-length") {
            length = std::str::from_utf8(value).ok()?.trim_matches([':', ' ', '\r']).parse().ok();
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return None;
        }
    }
    length
}

/// A head followed by `x` up to `N` bytes.
const fn canned<const N: usize>(head: &[u8]) -> [u8; N] {
    let mut bytes = [b'x'; N];
    let (start, _) = bytes.split_at_mut(head.len());
    start.copy_from_slice(head);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_end_of_a_head() {
        assert_eq!(Request::parse(b"GET / HTTP/1.1\r\nhost: a\r\n"), None);
    }

    #[test]
    fn tells_the_large_answer_from_the_small() {
        let large = Request::parse(b"GET /16k HTTP/1.1\r\n\r\n").map(|request| request.large);
        let small = Request::parse(b"GET / HTTP/1.1\r\n\r\n").map(|request| request.large);
        assert_eq!((large, small), (Some(true), Some(false)));
    }

    #[test]
    fn finds_a_content_length_in_any_case() {
        let request = Request::parse(b"POST / HTTP/1.1\r\nContent-Length: 1024\r\n\r\n").unwrap();
        assert_eq!(request.body, Some(1024));
    }

    #[test]
    fn gives_up_on_a_chunked_body() {
        let request = Request::parse(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(request.body, None);
    }

    #[test]
    fn canned_answers_are_as_long_as_they_say() {
        assert_eq!(SMALL.len() - HEAD_SMALL.len(), 128);
        assert_eq!(LARGE.len() - HEAD_LARGE.len(), 16 * 1024);
    }
}
