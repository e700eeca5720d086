//! Accepting connections and handing each to the least-loaded worker.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::connection::{self, Connection, Door};
use super::tls::{self, ServerTls};
use crate::upstream::stream::Stream;
use crate::worker::{Shared, Worker};

/// After an error of `accept` that will not go away at once, such as no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// What a worker is told.
pub(crate) enum Command {
    Serve(Accepted),
    /// Draining began: look at every connection.
    Wake,
}

/// A connection on its way to a worker.
pub(crate) struct Accepted {
    stream: std::net::TcpStream,
    peer: IpAddr,
    door: Door,
    tls: Option<Arc<rustls::ServerConfig>>,
    permit: Permit,
}

/// One connection of the process's bound.
struct Permit {
    shared: Arc<Shared>,
    load: Arc<AtomicUsize>,
    is_inbound: bool,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
        self.load.fetch_sub(1, Ordering::Relaxed);
        self.gauge().dec();
    }
}

impl Permit {
    fn gauge(&self) -> &crate::telemetry::cell::Gauge {
        let process = self.shared.resources.telemetry.process();
        if self.is_inbound { &process.connections_inbound } else { &process.connections_outbound }
    }
}

/// A worker as the acceptors see it.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) load: Arc<AtomicUsize>,
}

/// Everything an accept loop needs.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Arc<[Handle]>,
}

impl Acceptor {
    /// Accepts until the task is aborted.
    pub(crate) async fn run(self, listener: std::net::TcpListener, door: Door, tls: Option<Arc<ServerTls>>) {
        let Ok(listener) = TcpListener::from_std(listener) else { return };
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.pass(stream, peer, &door, tls.as_deref()).await,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn pass(&self, stream: TcpStream, peer: SocketAddr, door: &Door, tls: Option<&ServerTls>) {
        let Some(worker) = self.workers.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed))
        else {
            return;
        };
        let Some(permit) = self.permit(worker, door) else { return };
        let _ = stream.set_nodelay(true);
        let Ok(stream) = stream.into_std() else { return };
        let tls = tls.map(ServerTls::config);
        let accepted = Accepted { stream, peer: peer.ip().to_canonical(), door: door.clone(), tls, permit };
        // A full queue means a worker that is far behind; the kernel's backlog holds what comes meanwhile.
        let _ = worker.commands.send(Command::Serve(accepted)).await;
    }

    fn permit(&self, worker: &Handle, door: &Door) -> Option<Permit> {
        let open = self.shared.connections.fetch_add(1, Ordering::Relaxed);
        if open >= self.shared.config.limits.max_connections {
            self.shared.connections.fetch_sub(1, Ordering::Relaxed);
            self.shared.resources.telemetry.process().connections_refused.bump("max_connections");
            return None;
        }
        worker.load.fetch_add(1, Ordering::Relaxed);
        let permit = Permit {
            shared: Arc::clone(&self.shared),
            load: Arc::clone(&worker.load),
            is_inbound: *door == Door::Inbound,
        };
        permit.gauge().inc();
        Some(permit)
    }
}

/// A worker's life: serves what it is handed until nobody can hand it anything.
pub(crate) async fn work(worker: Rc<Worker>, mut commands: mpsc::Receiver<Command>) {
    tokio::task::spawn_local(Rc::clone(&worker).housekeeping());
    while let Some(command) = commands.recv().await {
        match command {
            Command::Serve(accepted) => {
                tokio::task::spawn_local(serve(Rc::clone(&worker), accepted));
            }
            Command::Wake => worker.wake_connections(),
        }
    }
}

async fn serve(worker: Rc<Worker>, accepted: Accepted) {
    let Accepted { stream, peer, door, tls, permit } = accepted;
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let (stream, first, identity, is_h2) = match tls {
        None => {
            let mut stream = Stream::Tcp(stream);
            let Some((first, is_h2)) = connection::sniff(&worker, &mut stream).await else { return };
            (stream, first, None, is_h2)
        }
        Some(config) => {
            let Some(stream) = handshake(&worker, config, stream).await else { return };
            let session = stream.get_ref().1;
            let is_h2 = session.alpn_protocol() == Some(b"h2");
            let identity = tls::spiffe_id(session.peer_certificates());
            (Stream::TlsServer(Box::new(stream)), Vec::new(), Some(identity), is_h2)
        }
    };
    let connection = Connection::new(&worker, door, peer, identity, is_h2);
    connection::serve(connection, stream, first).await;
    drop(permit);
}

async fn handshake(
    worker: &Worker,
    config: Arc<rustls::ServerConfig>,
    stream: TcpStream,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let limit = worker.shared.config.limits.tls_timeout;
    let accepted = tokio_rustls::TlsAcceptor::from(config).accept(stream);
    match tokio::time::timeout(limit, accepted).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(_)) | Err(_) => {
            worker.shared.resources.telemetry.process().connections_refused.bump("tls_handshake");
            None
        }
    }
}
