//! Whether the process can serve: its listeners answer, and the app if it is to be asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::upstream::dial;
use crate::worker::Shared;

const EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(1);

/// What has been seen last.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) listeners: AtomicBool,
    pub(super) app: AtomicBool,
}

/// Asks every two seconds, at first more often.
pub(super) fn watch(shared: &Arc<Shared>, addresses: Vec<SocketAddr>) -> Arc<Ready> {
    let ready = Arc::new(Ready { listeners: AtomicBool::new(false), app: AtomicBool::new(false) });
    let (shared, watched) = (Arc::clone(shared), Arc::clone(&ready));
    tokio::spawn(async move {
        let mut pause = Duration::from_millis(20);
        loop {
            let mut answered = true;
            for address in &addresses {
                answered &= self_request(*address, &shared.self_token).await.is_some();
            }
            watched.listeners.store(answered, Ordering::Relaxed);
            watched.app.store(app(&shared).await, Ordering::Relaxed);
            tokio::time::sleep(pause).await;
            pause = if answered { EVERY } else { (pause * 2).min(EVERY) };
        }
    });
    ready
}

/// A request that the pipeline answers by itself and does not record.
async fn self_request(address: SocketAddr, token: &str) -> Option<()> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let asking = async {
        let mut stream = TcpStream::connect((ip, address.port())).await.ok()?;
        let request = format!("CONNECT {token}:1 HTTP/1.1\r\nHost: {token}:1\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.ok()?;
        (answer == *b"HTTP/1.1 405").then_some(())
    };
    tokio::time::timeout(PATIENCE, asking).await.ok()?
}

/// Whether the app answers 2xx at the path the policy names; true if it names none.
async fn app(shared: &Shared) -> bool {
    let snapshot = shared.live.load();
    let Some(path) = &snapshot.readiness else { return true };
    let Some(cluster) = &snapshot.inbound.cluster else { return false };
    let Some(endpoint) = cluster.endpoints().first().map(Arc::clone) else { return false };
    let asking = async {
        let (stream, is_h2) = dial::dial(cluster, &endpoint.address).await.ok()?;
        let request = Request::get(path.as_str()).header("host", "localhost");
        let io = TokioIo::new(stream);
        let status = if is_h2 {
            let executor = hyper_util::rt::TokioExecutor::new();
            let (mut send, connection) = hyper::client::conn::http2::handshake(executor, io).await.ok()?;
            tokio::spawn(connection);
            let request = Request::get(format!("http://localhost{path}")).body(Empty::<Bytes>::new()).ok()?;
            send.send_request(request).await.ok()?.status()
        } else {
            let (mut send, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
            tokio::spawn(connection);
            send.send_request(request.body(Empty::<Bytes>::new()).ok()?).await.ok()?.status()
        };
        Some(status.is_success())
    };
    tokio::time::timeout(PATIENCE, asking).await.ok().flatten().unwrap_or(false)
}
