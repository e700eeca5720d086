//! An upstream that writes down every byte and judges it with a reader of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What has arrived, over all connections.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Request lines of whole, clean requests.
    pub(crate) requests: Vec<String>,
    /// What was wrong with anything else.
    pub(crate) dirty: Vec<String>,
}

/// Answers each clean request with 200.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Seen>>::default());
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, seen }
    }

    /// What has arrived since the last call.
    pub(crate) fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>) {
    let mut bytes = Vec::new();
    loop {
        while let Some(taken) = judge(&bytes, &seen) {
            bytes.drain(..taken);
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(size) if size > 0 => {}
            // A request that breaks off and is never completed is no request; the connection is over.
            _ => return,
        }
    }
}

/// The length of the whole request that `bytes` begin with, if it is whole.
fn judge(bytes: &[u8], seen: &Mutex<Seen>) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let (body, faults) = read_head(&bytes[..end]);
    let length = match body {
        Body::Length(length) => (bytes.len() >= end + length).then_some(length)?,
        Body::Chunked => chunks(&bytes[end..])?,
    };
    let mut seen = seen.lock().unwrap();
    if faults.is_empty() {
        seen.requests.push(head.lines().next().unwrap().to_owned());
    } else {
        seen.dirty.push(format!("{faults:?} in {head:?}"));
    }
    Some(end + length)
}

enum Body {
    Length(usize),
    Chunked,
}

/// How the body is framed, and everything a strict server would refuse (RFC 9112).
fn read_head(head: &[u8]) -> (Body, Vec<&'static str>) {
    let mut faults = Vec::new();
    let bare = |at: usize| match head[at] {
        b'\n' => at == 0 || head[at - 1] != b'\r',
        b'\r' => head.get(at + 1) != Some(&b'\n'),
        b'\t' => false,
        byte => byte < 0x20 || byte == 0x7f,
    };
    if (0..head.len()).any(bare) {
        faults.push("control character");
    }
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let words: Vec<&str> = lines.next().unwrap().split(' ').collect();
    if words.len() != 3 || !words[1].starts_with('/') && words[1] != "*" || words[2] != "HTTP/1.1" {
        faults.push("request line");
    }
    let (mut hosts, mut lengths, mut encodings) = (0, Vec::new(), Vec::new());
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            faults.push("field without a colon");
            continue;
        };
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        {
            faults.push("field name");
        }
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            "content-length" => lengths.push(value.trim().to_owned()),
            "transfer-encoding" => encodings.push(value.trim().to_owned()),
            "connection" | "keep-alive" | "proxy-connection" | "expect" => faults.push("hop-by-hop field"),
            "upgrade" => faults.push("upgrade"),
            _ => {}
        }
    }
    if hosts != 1 {
        faults.push("not one Host");
    }
    match (lengths.as_slice(), encodings.as_slice()) {
        ([], []) => (Body::Length(0), faults),
        ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => {
            (Body::Length(length.parse().unwrap()), faults)
        }
        ([], [encoding]) if encoding == "chunked" => (Body::Chunked, faults),
        _ => {
            faults.push("framing");
            (Body::Length(0), faults)
        }
    }
}

/// The length of a whole chunked body; anything but plain chunks never becomes whole.
fn chunks(mut rest: &[u8]) -> Option<usize> {
    let all = rest.len();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            break;
        }
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        rest = &rest[end + 2..];
        if end == 0 {
            return Some(all - rest.len());
        }
    }
}
