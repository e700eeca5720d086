//! A small client of the admin endpoints, over TCP or a Unix socket.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// For a whole exchange.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer; a full scrape of every family is below a tenth of it.
const MAX_ANSWER: usize = 64 * 1_024 * 1_024;

/// Where a sidecar's admin endpoints are: `127.0.0.1:15000`, `localhost:15000`, `http://…`, `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host and port.
    Tcp(String),
    /// The path of a socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        match host.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() && !name.contains('/') && port.parse::<u16>().is_ok() => {
                Ok(Self::Tcp(host.into()))
            }
            _ => Err("write HOST:PORT or unix:/path".into()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => f.write_str(host),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    /// Nothing answered at the address.
    Unreachable(Address, String),
    /// It answered, but not with success.
    Refused(u16, String),
    /// What it answered is not what was expected.
    Garbled(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(address, why) => {
                write!(f, "no sidecar answers at {address}: {why}; is it running, and is --admin right?")
            }
            Self::Refused(status, why) => write!(f, "the sidecar answered {status}: {why}"),
            Self::Garbled(why) => write!(f, "the sidecar's answer cannot be read: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The exit code that says so: 5 unreachable, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreachable(..) => ExitCode::from(5),
            Self::Refused(..) | Self::Garbled(_) => ExitCode::FAILURE,
        }
    }
}

/// A client; each request has a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
}

impl Client {
    /// A client of the sidecar at `address`.
    #[must_use]
    pub const fn new(address: Address) -> Self {
        Self { address }
    }

    /// `GET path`
    ///
    /// # Errors
    /// Nothing answered within 5 s, or not with success.
    pub async fn get(&self, path: &str) -> Result<Bytes, Error> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// Any request.
    ///
    /// # Errors
    /// Nothing answered within 5 s, or not with success.
    pub async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Error> {
        match tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.unreachable("no answer within 5 s")),
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Error> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.host())
            .body(Full::new(body))
            .map_err(|error| Error::Garbled(error.to_string()))?;
        match &self.address {
            Address::Tcp(host) => self.over(TcpStream::connect(host).await, request).await,
            Address::Unix(path) => self.over(UnixStream::connect(path).await, request).await,
        }
    }

    async fn over<S>(&self, stream: std::io::Result<S>, request: Request<Full<Bytes>>) -> Result<Bytes, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = stream.map_err(|error| self.unreachable(&error.to_string()))?;
        let garbled = |error: hyper::Error| Error::Garbled(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(garbled)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(garbled)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| Error::Garbled(error.to_string()))?.to_bytes();
            // `/readyz` says why with a 503, which callers that want it read from the error.
            if status.is_success() { Ok(body) } else { Err(Error::Refused(status.as_u16(), text(&body))) }
        };
        // The connection does the reading and writing, and so must be driven beside the exchange.
        tokio::pin!(exchange);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            end = &mut connection => match end {
                Ok(()) => exchange.await,
                Err(error) => Err(garbled(error)),
            },
        }
    }

    fn host(&self) -> &str {
        match &self.address {
            Address::Tcp(host) => host,
            Address::Unix(_) => "localhost",
        }
    }

    fn unreachable(&self, why: &str) -> Error {
        Error::Unreachable(self.address.clone(), why.into())
    }
}

/// An answer's text for a terminal: without control characters, and not too much of it.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_as_people_write_them() {
        for text in ["127.0.0.1:15000", "http://127.0.0.1:15000/"] {
            assert_eq!(text.parse(), Ok(Address::Tcp("127.0.0.1:15000".into())));
        }
        assert_eq!("unix:/run/a.sock".parse(), Ok(Address::Unix("/run/a.sock".into())));
        for text in ["", "unix:", "15000", "host", "host:port", "https://a:1", "http://a:1/path"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
