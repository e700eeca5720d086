//! Bytes on a connection, and a reader of HTTP/1.1 answers that forgives nothing.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::run::soon;

/// Any byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection spoken to by hand.
pub(crate) struct Raw {
    pub(crate) stream: Box<dyn Io>,
    /// Read and not yet looked at.
    pub(crate) buffer: Vec<u8>,
}

/// An HTTP/1.1 answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) version: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The only value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} stands twice: {self:?}");
        Some(value.to_str().unwrap())
    }
}

impl Raw {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::try_connect(to).await.unwrap_or_else(|| panic!("{to} does not accept"))
    }

    pub(crate) async fn try_connect(to: SocketAddr) -> Option<Self> {
        let stream = soon("connect", TcpStream::connect(to)).await.ok()?;
        stream.set_nodelay(true).unwrap();
        Some(Self::over(stream))
    }

    pub(crate) fn over(stream: impl Io + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("send", self.stream.write_all(bytes.as_ref())).await.unwrap();
        soon("flush", self.stream.flush()).await.unwrap();
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        let request = request.as_ref();
        self.send(request).await;
        let method = request.split(|&byte| byte == b' ').next().unwrap();
        self.answer(std::str::from_utf8(method).unwrap()).await
    }

    /// `GET path` with keep-alive.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.ask(format!("GET {path} HTTP/1.1\r\nhost: app.test\r\n\r\n")).await
    }

    /// The next final answer, to a request with this method.
    pub(crate) async fn answer(&mut self, method: &str) -> Answer {
        self.try_answer(method).await.unwrap_or_else(|| panic!("no answer: {:?}", self.rest_as_text()))
    }

    /// The same; none if the connection ends or breaks before it is complete.
    pub(crate) async fn try_answer(&mut self, method: &str) -> Option<Answer> {
        loop {
            let mut answer = self.head().await?;
            if answer.status >= 200 || answer.status == 101 {
                self.body(method, &mut answer).await?;
                return Some(answer);
            }
        }
    }

    /// The next head, interim ones too.
    pub(crate) async fn head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let mut lines = std::str::from_utf8(&head).unwrap().trim_end_matches("\r\n").split("\r\n");
        let mut first = lines.next().unwrap().splitn(3, ' ');
        let version = first.next().unwrap().to_owned();
        let status = first.next().unwrap().parse().unwrap();
        let headers = fields(lines);
        Some(Answer { status, version, headers, body: Vec::new(), trailers: HeaderMap::new() })
    }

    /// Reads exactly so many bytes.
    pub(crate) async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            self.more().await?;
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// Everything until the connection ends; an end by reset is a failure.
    pub(crate) async fn until_end(&mut self) -> Vec<u8> {
        loop {
            let mut piece = [0; 16 * 1024];
            match soon("end of the connection", self.stream.read(&mut piece)).await {
                Ok(0) => return std::mem::take(&mut self.buffer),
                Ok(size) => self.buffer.extend_from_slice(&piece[..size]),
                Err(error) => panic!("{error} after {:?}", self.rest_as_text()),
            }
        }
    }

    /// Reads once. None at the end of the connection, orderly or not.
    pub(crate) async fn more(&mut self) -> Option<()> {
        let mut piece = [0; 16 * 1024];
        let size = soon("bytes of an answer", self.stream.read(&mut piece)).await.ok()?;
        self.buffer.extend_from_slice(&piece[..size]);
        (size > 0).then_some(())
    }

    fn rest_as_text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    async fn body(&mut self, method: &str, answer: &mut Answer) -> Option<()> {
        let encoding = answer.field("transfer-encoding").map(str::to_owned);
        let length = answer.field("content-length").map(|length| length.parse::<usize>().unwrap());
        if method == "HEAD" || matches!(answer.status, 101 | 204 | 304) {
            assert!(encoding.is_none() || method == "HEAD", "{answer:?}");
        } else if encoding.is_some() {
            assert_eq!((encoding.as_deref(), length), (Some("chunked"), None), "{answer:?}");
            self.chunks(answer).await?;
        } else if let Some(length) = length {
            answer.body = self.exactly(length).await?;
        } else {
            while self.more().await.is_some() {}
            answer.body = std::mem::take(&mut self.buffer);
        }
        Some(())
    }

    async fn chunks(&mut self, answer: &mut Answer) -> Option<()> {
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("chunk size {line:?}"));
            if size == 0 {
                break;
            }
            answer.body.extend(self.exactly(size).await?);
            assert_eq!(self.line().await?, "");
        }
        let mut lines = Vec::new();
        loop {
            match self.line().await? {
                line if line.is_empty() => break,
                line => lines.push(line),
            }
        }
        answer.trailers = fields(lines.iter().map(String::as_str));
        Some(())
    }

    async fn line(&mut self) -> Option<String> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                break at;
            }
            self.more().await?;
        };
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        Some(String::from_utf8(line[..end].to_vec()).unwrap())
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> HeaderMap {
    lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("field {line:?}"));
            let value = HeaderValue::from_str(value.trim()).unwrap();
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value)
        })
        .collect::<Vec<_>>()
        .into_iter()
        .fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
