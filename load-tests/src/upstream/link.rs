//! A second handle on an accepted connection, for answers that HTTP has no words for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use socket2::Socket;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What a scripted answer may do to its connection behind the server's back.
#[derive(Debug, Default)]
pub(crate) struct Link {
    socket: Mutex<Option<Socket>>,
    cut: Notify,
}

impl Link {
    /// A link to a plain TCP connection; a Unix socket or TLS has [`Link::default`], which can only be cut.
    pub(crate) fn to(stream: &TcpStream) -> Self {
        let socket = socket2::SockRef::from(stream).try_clone().ok();
        Self { socket: Mutex::new(socket), cut: Notify::new() }
    }

    /// Ends the connection at once: with RST where it is TCP.
    pub(crate) fn reset(&self) {
        if let Some(socket) = &*self.socket.lock().unwrap_or_else(PoisonError::into_inner) {
            drop(socket.set_linger(Some(Duration::ZERO)));
        }
        self.cut.notify_one();
    }

    /// Writes past the HTTP server; false where that is impossible.
    pub(crate) fn write(&self, bytes: &[u8]) -> bool {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        socket.as_ref().is_some_and(|socket| socket.send(bytes).is_ok_and(|sent| sent == bytes.len()))
    }

    /// Resolves once [`Link::reset`] was called.
    pub(crate) async fn cut(&self) {
        self.cut.notified().await;
    }

    /// Gives up the handle, so that closing the connection closes the socket.
    pub(crate) fn release(&self) {
        drop(self.socket.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
