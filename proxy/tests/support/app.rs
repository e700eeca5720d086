//! What stands behind the sidecar.

use std::net::SocketAddr;

use outrigger_load_tests::upstream::{Config, Upstream};
use tokio::net::TcpListener;

use super::raw::Raw;
use super::run::soon;

/// The scriptable upstream: the path of a request says what it does.
pub(crate) fn app() -> Upstream {
    Upstream::start(Config::default()).unwrap()
}

/// A server spoken for by hand: the test reads what the sidecar sends and writes the answer.
pub(crate) struct ByHand {
    listener: TcpListener,
}

impl ByHand {
    pub(crate) async fn listen() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection of the sidecar.
    pub(crate) async fn accept(&self) -> Raw {
        let (stream, _) = soon("a connection of the sidecar", self.listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Raw::over(stream)
    }
}

impl Raw {
    /// A request's head, as text, without the empty line.
    pub(crate) async fn request_head(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.buffer.drain(..at + 4).take(at).collect();
                return String::from_utf8(head).unwrap();
            }
            let more = self.more().await;
            assert!(more.is_some(), "the sidecar hung up: {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }
}
