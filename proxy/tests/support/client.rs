//! Small HTTP/1.1 and HTTP/2 clients on any byte stream.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::raw::Io;
use super::run::soon;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Body = UnsyncBoxBody<Bytes, Error>;
pub(crate) type H1 = http1::SendRequest<Body>;
pub(crate) type H2 = http2::SendRequest<Body>;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Whole {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) async fn tcp(to: SocketAddr) -> TcpStream {
    let stream = soon("connect", TcpStream::connect(to)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// An HTTP/1.1 connection.
pub(crate) async fn h1(stream: impl Io + 'static) -> H1 {
    let (send, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    send
}

/// An HTTP/2 connection, with prior knowledge.
pub(crate) async fn h2(stream: impl Io + 'static) -> H2 {
    let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    send
}

/// A request for `http://app.test` + `path`; for HTTP/1.1 its target is made relative.
pub(crate) fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://app.test{path}"))
}

pub(crate) fn empty() -> Body {
    full("")
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is fed piece by piece.
pub(crate) fn fed() -> (Sender<Bytes, Error>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed_unsync())
}

pub(crate) async fn ask_h1(send: &mut H1, request: Request<Body>) -> Whole {
    whole(soon("an answer", send.send_request(relative(request))).await.unwrap()).await
}

pub(crate) async fn ask_h2(send: &mut H2, request: Request<Body>) -> Whole {
    whole(soon("an answer", send.send_request(request)).await.unwrap()).await
}

/// The target of an HTTP/1.1 request is a path, and its authority stands in `Host`.
pub(crate) fn relative(mut request: Request<Body>) -> Request<Body> {
    if let Some(authority) = request.uri().authority().cloned() {
        let path = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
        *request.uri_mut() = path;
        let host = http::HeaderValue::from_str(authority.as_str()).unwrap();
        request.headers_mut().entry("host").or_insert(host);
    }
    request
}

/// Reads an answer to its end.
pub(crate) async fn whole(response: Response<Incoming>) -> Whole {
    let (head, body) = response.into_parts();
    let collected = soon("a whole body", body.collect()).await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Whole { status: head.status.as_u16(), headers: head.headers, body: collected.to_bytes(), trailers }
}
