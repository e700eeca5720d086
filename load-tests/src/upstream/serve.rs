//! Listening, accepting and handing connections to hyper.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::answer::{Context, answer};
use super::count::Counts;
use super::link::Link;
use super::switch::Switch;
use super::{Config, fixed, tls};

/// Pause after an accept that failed, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The bound sockets of one upstream.
pub(crate) struct Listeners {
    tcp: TcpListener,
    unix: Option<UnixListener>,
    tls: Option<TlsAcceptor>,
    fixed: bool,
    shared: Arc<Shared>,
}

/// What every connection of one upstream needs.
#[derive(Debug)]
struct Shared {
    name: HeaderValue,
    counts: Arc<Counts>,
    switch: Arc<Switch>,
}

impl Listeners {
    pub(crate) async fn bind(
        config: &Config,
        (counts, switch): (Arc<Counts>, Arc<Switch>),
    ) -> io::Result<Self> {
        let name = HeaderValue::from_str(&config.name).map_err(io::Error::other)?;
        Ok(Self {
            tcp: TcpListener::bind(config.listen).await?,
            unix: config.unix.as_ref().map(bind_unix).transpose()?,
            tls: config.tls.as_ref().map(tls::acceptor).transpose()?,
            fixed: config.fixed,
            shared: Arc::new(Shared { name, counts, switch }),
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    pub(crate) async fn serve(&self) {
        loop {
            tokio::select! {
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, _)) => self.tcp_connection(stream),
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                accepted = accept_unix(self.unix.as_ref()) => match accepted {
                    Ok(stream) => self.spawn(stream, Link::default()),
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
    }

    fn tcp_connection(&self, stream: TcpStream) {
        drop(stream.set_nodelay(true));
        if self.fixed {
            self.shared.counts.connection();
            tokio::spawn(fixed::serve(stream));
            return;
        }
        let Some(acceptor) = self.tls.clone() else {
            let link = Link::to(&stream);
            return self.spawn(stream, link);
        };
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            // A failed handshake is the client's to report.
            if let Ok(stream) = acceptor.accept(stream).await {
                connection(shared, stream, Link::default()).await;
            }
        });
    }

    fn spawn<S>(&self, stream: S, link: Link)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        tokio::spawn(connection(Arc::clone(&self.shared), stream, link));
    }
}

/// One connection from its first byte to its end.
async fn connection<S>(shared: Arc<Shared>, stream: S, link: Link)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    shared.counts.connection();
    let link = Arc::new(link);
    let context = Context {
        name: shared.name.clone(),
        counts: Arc::clone(&shared.counts),
        switch: Arc::clone(&shared.switch),
        link: Arc::clone(&link),
    };
    let service = service_fn(move |request| {
        let context = context.clone();
        async move { Ok::<_, Infallible>(answer(context, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(1024);
    {
        let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(served);
        tokio::select! {
            // How a connection ended is for the client to see, in the socket.
            _ = &mut served => {}
            () = link.cut() => {}
        }
    }
    link.release();
}

fn bind_unix(path: &std::path::PathBuf) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
}

async fn accept_unix(listener: Option<&UnixListener>) -> io::Result<tokio::net::UnixStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}
