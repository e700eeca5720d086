//! The client: blocking sockets, all written and then all read, so that the server finds several at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;

/// Callgrind slows a server down by fifty; a busy machine adds to that.
const PATIENCE: Duration = Duration::from_secs(30);

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// GET of 128 bytes.
    Get128,
    /// GET of 16 KiB.
    Get16k,
    /// POST of 1 KiB answered with 128 bytes.
    Post1k,
}

impl Workload {
    /// As in tables and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get128 => "get128",
            Self::Get16k => "get16k",
            Self::Post1k => "post1k",
        }
    }

    fn request(self, server: SocketAddr) -> Vec<u8> {
        let mut request = match self {
            Self::Get128 => format!("GET / HTTP/1.1\r\nHost: {server}\r\n\r\n"),
            Self::Get16k => format!("GET /16k HTTP/1.1\r\nHost: {server}\r\n\r\n"),
            Self::Post1k => format!("POST / HTTP/1.1\r\nHost: {server}\r\nContent-Length: 1024\r\n\r\n"),
        }
        .into_bytes();
        if self == Self::Post1k {
            request.resize(request.len() + 1024, b'x');
        }
        request
    }
}

/// Open connections and the request to send on them.
pub(super) struct Load {
    connections: Vec<TcpStream>,
    request: Vec<u8>,
}

impl Load {
    pub(super) fn open(server: SocketAddr, connections: usize, workload: Workload) -> anyhow::Result<Self> {
        let connect = || {
            let stream = TcpStream::connect(server)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let connections: std::io::Result<Vec<_>> = (0..connections.max(1)).map(|_| connect()).collect();
        Ok(Self { connections: connections?, request: workload.request(server) })
    }

    pub(super) fn connections(&self) -> u64 {
        u64::try_from(self.connections.len()).unwrap_or(u64::MAX)
    }

    /// Sends at least `requests`, in whole turns over all connections; says how many it were.
    pub(super) fn send(&mut self, requests: u64) -> anyhow::Result<u64> {
        let turns = requests.div_ceil(self.connections());
        let mut answer = Vec::with_capacity(32 * 1024);
        for _ in 0..turns {
            for stream in &mut self.connections {
                stream.write_all(&self.request).context("the server closed")?;
            }
            for stream in &mut self.connections {
                receive(stream, &mut answer)?;
            }
        }
        Ok(turns * self.connections())
    }
}

/// Reads one answer: a 200 with a content length.
fn receive(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    let mut chunk = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut chunk).context("no whole answer")?;
        ensure!(read > 0, "the server closed after {} bytes of an answer", answer.len());
        answer.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if let Some(whole) = length(answer)? {
            ensure!(answer.len() <= whole, "more than one answer to one request");
            if answer.len() == whole {
                return Ok(());
            }
        }
    }
}

/// How long the whole answer is, once its head is there.
fn length(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default()).to_ascii_lowercase();
    ensure!(text.starts_with("http/1.1 200"), "not a 200: {text}");
    let field = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body: usize = field.context("no content-length")?.trim().parse()?;
    Ok(Some(head + 4 + body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(length(head).unwrap(), Some(head.len() + 5));
        assert_eq!(length(b"HTTP/1.1 200 OK\r\n").unwrap(), None);
    }

    #[test]
    fn an_answer_that_is_no_200_stops_the_count() {
        assert!(length(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
