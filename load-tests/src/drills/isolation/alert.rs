//! A server that fails every TLS handshake as one does who shares no parameters with its client.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// RFC 8446 §6: an alert record of two bytes, fatal, handshake_failure.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// The running server; dropping it stops it.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) address: SocketAddr,
    failed: Arc<AtomicU64>,
    _running: JoinSet<()>,
}

impl Alert {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, failed) = (listener.local_addr()?, Arc::<AtomicU64>::default());
        let mut running = JoinSet::new();
        running.spawn(serve(listener, Arc::clone(&failed)));
        Ok(Self { address, failed, _running: running })
    }

    /// Handshakes failed so far.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, failed: Arc<AtomicU64>) {
    let mut running = JoinSet::new();
    // Without descriptors there is no drill; what it counts will say so.
    while let Ok((stream, _)) = listener.accept().await {
        while running.try_join_next().is_some() {}
        let failed = Arc::clone(&failed);
        running.spawn(async move {
            if refuse(stream).await.is_ok() {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

/// Reads the client's hello, so that closing does not reset the connection under the alert.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    let mut hello = [0; 4096];
    if stream.read(&mut hello).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    stream.write_all(&ALERT).await?;
    stream.shutdown().await
}
