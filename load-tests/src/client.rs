//! A plain HTTP/1.1 client on one connection, for closed loops and for admin questions.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bound on one exchange; nothing asked here takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// One kept-alive connection.
pub(crate) struct Client {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await?;
        let stream = stream.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its error is the sender's too.
        tokio::spawn(connection);
        Ok(Self { sender, host: address.to_string() })
    }

    /// One GET, the answer read whole.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = Request::get(path).header(HOST, &self.host).body(Empty::new())?;
        let exchange = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        match timeout(PATIENCE, exchange).await {
            Ok(answer) => answer,
            Err(_) => bail!("no whole answer within {PATIENCE:?}"),
        }
    }
}

/// One GET on a connection of its own; anything but 200 is an error.
pub(crate) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<Bytes> {
    let (status, body) = Client::connect(address).await?.get(path).await?;
    if status != StatusCode::OK {
        bail!("GET http://{address}{path} answers {status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(body)
}
