//! What the process is, read once at start: `sidecar.yaml`, with every default.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A checked `sidecar.yaml`. Paths are already relative to the working directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Sidecar {
    /// Name of the service, for logs and metrics.
    pub service: Option<String>,
    /// Threads that carry requests.
    pub workers: usize,
    /// Requests to the app.
    pub inbound: Listener,
    /// Requests of the app; TLS is never served here.
    pub outbound: Listener,
    /// The operators' door.
    pub admin: Admin,
    /// The policy file or directory.
    pub policy_file: Option<PathBuf>,
    /// How long a policy must serve before its copy counts as last good.
    pub probation: Duration,
    /// Where what must survive a restart is kept.
    pub state_dir: PathBuf,
    /// The access log.
    pub access_log: AccessLog,
    /// What the process allows itself and its peers.
    pub limits: Limits,
    /// Networks whose forwarding headers are believed.
    pub trusted_peers: Vec<Network>,
    /// Add `Via` to responses too.
    pub via_responses: bool,
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Address to bind.
    pub address: SocketAddr,
    /// Serve TLS here.
    pub tls: Option<TlsServer>,
}

/// TLS of a listener; files are watched and taken anew when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServer {
    /// PEM certificate chain.
    pub cert: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
    /// PEM roots client certificates must chain to; absent: none is asked for.
    pub client_ca: Option<PathBuf>,
    /// With `client_ca`: a client without a certificate is let in as anonymous.
    pub client_optional: bool,
}

/// Where the admin endpoints listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// A loopback address.
    Tcp(SocketAddr),
    /// A Unix domain socket, made with mode 0600.
    Unix(PathBuf),
}

/// The access log.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Where it goes.
    pub sink: LogSink,
    /// Share of `ok` requests that are logged, in millionths; all others are logged always.
    pub ok_sample_millionths: u32,
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSink {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to a file; reopened on SIGHUP.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// What the process allows itself and its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Accepted connections at once, inbound and outbound together.
    pub max_connections: usize,
    /// Header fields of a message.
    pub max_headers: usize,
    /// Bytes of a message head.
    pub max_header_bytes: usize,
    /// For a whole request head, from its first byte.
    pub head_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// For a TLS handshake.
    pub tls_timeout: Duration,
    /// What is in flight may take this long after SIGTERM.
    pub drain: Duration,
}

/// An IP network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address in it.
    pub address: IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}
