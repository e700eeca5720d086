//! Opening a connection: TCP or a Unix socket, then TLS, then the HTTP handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use outrigger_config::plan::{Address, Protocol};
use outrigger_filters::outcome::Outcome;
use tokio::net::{TcpStream, UnixStream};

use super::cluster::Cluster;
use super::stream::Stream;
use super::tls::ClientTls;
use crate::failure::Failure;

/// Opens a byte stream to `address`; true if HTTP/2 is to be spoken on it.
///
/// Bounded by the caller. Dropping the future closes the socket.
pub(crate) async fn dial(cluster: &Cluster, address: &Address) -> Result<(Stream, bool), Failure> {
    match (address, &cluster.tls) {
        (Address::Unix(path), _) => {
            let stream = UnixStream::connect(path).await.map_err(|error| refused(&error))?;
            Ok((Stream::Unix(stream), cluster.spec.protocol == Protocol::H2))
        }
        (Address::Tcp(address), None) => {
            Ok((Stream::Tcp(tcp(*address).await?), cluster.spec.protocol == Protocol::H2))
        }
        (Address::Tcp(address), Some(tls)) => secure(tcp(*address).await?, tls).await,
    }
}

async fn tcp(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|error| refused(&error))?;
    // Whole messages are written at once; waiting for more to send would only add latency.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn secure(stream: TcpStream, tls: &Arc<ClientTls>) -> Result<(Stream, bool), Failure> {
    let shaken = tls.connector().connect(tls.server_name.clone(), stream).await;
    let stream = shaken.map_err(|error| handshake(&error))?;
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Stream::TlsClient(Box::new(stream)), h2))
}

fn refused(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::TimedOut => Failure::unsent(Outcome::ConnectionTimeout, "connecting timed out"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Failure::unsent(Outcome::DestinationUnavailable, "no way to the endpoint")
        }
        io::ErrorKind::NotFound => Failure::unsent(Outcome::ConnectionRefused, "the socket does not exist"),
        io::ErrorKind::PermissionDenied => {
            Failure::unsent(Outcome::ConnectionRefused, "the socket may not be opened")
        }
        _ => Failure::unsent(Outcome::ConnectionRefused, "the endpoint refused the connection"),
    }
}

fn handshake(error: &io::Error) -> Failure {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_)) => {
            Failure::unsent(Outcome::TlsCertificateError, "the endpoint's certificate is not valid for it")
        }
        Some(rustls::Error::AlertReceived(_)) => {
            Failure::unsent(Outcome::TlsAlertReceived, "the endpoint refused the TLS handshake")
        }
        Some(_) => Failure::unsent(Outcome::TlsProtocolError, "the TLS handshake failed"),
        None => {
            Failure::unsent(Outcome::ConnectionTerminated, "the endpoint closed during the TLS handshake")
        }
    }
}
