//! What the process is, read once at start: `sidecar.yaml`, with every default.

mod build;
mod document;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::build::Build;
use crate::decode::Context;
use crate::diagnostics::{Diagnostics, Problems};
use crate::load::{LoadError, Source, sources, tree};
use document::SidecarDocument;

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

impl Default for Sidecar {
    fn default() -> Self {
        let listen = |ip: [u8; 4], port| Listener { address: SocketAddr::from((ip, port)), tls: None };
        Self {
            service: None,
            workers: 1,
            inbound: listen([0, 0, 0, 0], 15006),
            outbound: listen([127, 0, 0, 1], 15001),
            admin: Admin::Tcp(SocketAddr::from(([127, 0, 0, 1], 15000))),
            policy_file: None,
            probation: Duration::from_secs(60),
            state_dir: build::default_state_dir(),
            access_log: AccessLog { sink: LogSink::Stdout, ok_sample_millionths: 10_000 },
            limits: Limits::default(),
            trusted_peers: vec![
                Network { address: Ipv4Addr::new(127, 0, 0, 0).into(), prefix: 8 },
                Network { address: Ipv6Addr::LOCALHOST.into(), prefix: 128 },
            ],
            via_responses: false,
        }
    }
}

/// Reads a `sidecar.yaml`. Relative paths in it begin at its directory.
///
/// # Errors
/// If it cannot be read or does not hold; with every problem.
pub fn load(path: &Path) -> Result<Sidecar, LoadError> {
    let source = sources(path)?.pop().unwrap_or_default();
    parse(&source).map(|(sidecar, _)| sidecar).map_err(LoadError::Invalid)
}

/// Reads a text as `sidecar.yaml`; with what is probably not meant.
///
/// # Errors
/// If it does not hold; with every problem.
pub fn parse(source: &Source) -> Result<(Sidecar, Diagnostics), Diagnostics> {
    let sources = std::slice::from_ref(source);
    let mut problems = Problems::default();
    let Some(root) = tree(sources, &mut problems) else { return Err(problems.finish(sources)) };
    let context = Context::new(&root, problems);
    let (dirs, names) = ([source.dir.clone()], [source.name.as_str()]);
    let build = Build::new(&context, &dirs, &names);
    let written: Option<SidecarDocument> = context.decode(&root);
    let sidecar = written.map(|written| build::sidecar(&build, &written));
    let problems = context.into_problems();
    match sidecar {
        Some(sidecar) if !problems.has_errors() => Ok((sidecar, problems.finish(sources))),
        _ => Err(problems.finish(sources)),
    }
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 8000,
            max_headers: 100,
            max_header_bytes: 32 << 10,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            tls_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(30),
        }
    }
}

/// An IP network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address in it.
    pub address: IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}
