//! HTTP/2 by hand: frames and uncompressed header blocks, so that a test can send what no library would.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;

use super::support::raw::Raw;
use super::support::run::soon;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// One frame.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut all = vec![length[1], length[2], length[3], kind, flags];
    all.extend(stream.to_be_bytes());
    all.extend(payload);
    all
}

/// A header block without compression (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = Vec::new();
    for (name, value) in fields {
        all.push(0);
        string(&mut all, name.as_bytes());
        string(&mut all, value.as_bytes());
    }
    all
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes.len();
    if rest < 127 {
        out.push(u8::try_from(rest).unwrap());
    } else {
        out.push(127);
        rest -= 127;
        while rest >= 128 {
            out.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    out.extend(bytes);
}

/// The pseudo-fields of `GET path`.
pub(crate) fn get(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)]
}

/// A connection after the preface and both SETTINGS.
pub(crate) async fn connect(to: SocketAddr) -> Raw {
    let mut raw = Raw::connect(to).await;
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    raw.send(frame(SETTINGS, 0, 0, &[])).await;
    raw.send(frame(SETTINGS, 1, 0, &[])).await;
    raw
}

/// The next frame; none once the connection is over.
pub(crate) async fn next(raw: &mut Raw) -> Option<Frame> {
    let head = exactly(raw, 9).await?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let payload = exactly(raw, length).await?;
    Some(Frame { kind: head[3], stream, payload })
}

/// Frames until one for which `enough` holds, which is the last, or the end of the connection.
pub(crate) async fn until(raw: &mut Raw, enough: impl Fn(&Frame) -> bool) -> Vec<Frame> {
    let mut all = Vec::new();
    while let Some(frame) = next(raw).await {
        let last = enough(&frame);
        all.push(frame);
        if last {
            break;
        }
    }
    all
}

async fn exactly(raw: &mut Raw, count: usize) -> Option<Vec<u8>> {
    while raw.buffer.len() < count {
        let mut piece = [0; 4096];
        let size = soon("a frame", raw.stream.read(&mut piece)).await.ok()?;
        raw.buffer.extend_from_slice(&piece[..size]);
        if size == 0 {
            return None;
        }
    }
    Some(raw.buffer.drain(..count).collect())
}
