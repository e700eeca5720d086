//! What a policy means, proven: names resolved, references real, routes ordered, regexes compilable.
//!
//! A [`Plan`] in hand is the proof; the only way to one is through this crate's `load` and `parse`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use outrigger_filters::circuit_breaker;
use outrigger_filters::policies::{RoutePolicies, UpstreamPolicies};
use outrigger_filters::{balance, isolation, retries};

/// A whole policy, ready to be compiled by the proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The service the policy was written for, if it says so.
    pub service: Option<String>,
    /// What stands before the app.
    pub inbound: Inbound,
    /// What the outbound listener does with a host no dependency names.
    pub unknown_hosts: UnknownHosts,
    /// What the app calls, in the order of the file.
    pub dependencies: Vec<Dependency>,
}

/// Everything about requests to the app.
#[derive(Clone, Debug, PartialEq)]
pub struct Inbound {
    /// Where the app listens; absent in a policy that leaves it to `--app` or is for outbound only.
    pub app: Option<Upstream>,
    /// A path on the app that must answer 2xx before the sidecar says it is ready.
    pub readiness: Option<String>,
    /// In order of precedence, most specific first; the last is `default` and matches everything.
    pub routes: Vec<Route>,
}

/// A thing the service calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// Its identity: state, labels and logs follow this name.
    pub name: String,
    /// Hosts (without port, lower case) by which the outbound listener knows it.
    pub hosts: Vec<HostMatch>,
    /// A port of its own.
    pub listen: Option<SocketAddr>,
    /// How it is reached.
    pub upstream: Upstream,
    /// What it may take of the sidecar.
    pub isolation: isolation::Spec,
    /// Which endpoint takes the next call.
    pub balance: balance::Spec,
    /// Policies asked for every call to it, whichever route.
    pub policies: UpstreamPolicies,
    /// The breaker of all its routes that have none of their own; its state is the dependency's.
    pub circuit_breaker: Option<circuit_breaker::Spec>,
    /// In order of precedence; the last is `default` and matches everything.
    pub routes: Vec<Route>,
}

/// What to do with an outbound request for a host that no dependency names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownHosts {
    /// Answer 404 `destination_not_found`.
    #[default]
    Refuse,
    /// Send it where its Host says, with default policies, as the built-in dependency `pass`.
    Pass,
}

/// How to reach the app or a dependency.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Where its endpoints come from.
    pub discovery: Discovery,
    /// The HTTP spoken to it.
    pub protocol: Protocol,
    /// TLS, if the endpoints want it.
    pub tls: Option<TlsClient>,
    /// What `Host` to send; absent: what the caller sent.
    pub host_header: Option<String>,
    /// Connections to one endpoint, over all workers.
    pub max_connections_per_endpoint: u32,
    /// Connections to one endpoint being opened at once, for each worker.
    pub max_connecting: u32,
    /// How long an idle pooled connection is kept.
    pub keepalive: Duration,
}

/// How long an idle pooled connection is kept unless the policy says otherwise.
pub const KEEPALIVE: Duration = Duration::from_secs(30);
/// Connections to one endpoint unless the policy says otherwise.
pub const MAX_CONNECTIONS: u32 = 256;
/// Connections to one endpoint being opened at once unless the policy says otherwise.
pub const MAX_CONNECTING: u32 = 16;

impl Upstream {
    /// Plain HTTP/1.1 to these endpoints, all else by default.
    #[must_use]
    pub const fn new(discovery: Discovery) -> Self {
        Self {
            discovery,
            protocol: Protocol::Http1,
            tls: None,
            host_header: None,
            max_connections_per_endpoint: MAX_CONNECTIONS,
            max_connecting: MAX_CONNECTING,
            keepalive: KEEPALIVE,
        }
    }
}

/// Where the endpoints of an upstream come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Discovery {
    /// Written in the policy.
    Fixed(Vec<Address>),
    /// Every address the name resolves to, asked again after `every`.
    Dns {
        /// The name, as asked.
        host: String,
        /// The port of every address.
        port: u16,
        /// How long an answer is used.
        every: Duration,
    },
}

/// Where one endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix domain socket.
    Unix(PathBuf),
}

/// The HTTP spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, with prior knowledge on plain connections.
    H2,
    /// By ALPN on TLS, HTTP/1.1 on plain connections.
    Auto,
}

/// TLS towards an upstream. Verification is never off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClient {
    /// Name to verify and to send as SNI; absent: the host of the address.
    pub server_name: Option<String>,
    /// PEM file with the roots to trust; absent: the machine's.
    pub ca: Option<PathBuf>,
    /// PEM files of our certificate chain and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// One named match and what applies to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its identity within the inbound side or its dependency.
    pub name: String,
    /// What it matches.
    pub matches: Match,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// When a failed call is made again, as of the route or else of its dependency; none on inbound routes.
    pub retries: Option<retries::Spec>,
    /// The gates it asks.
    pub policies: RoutePolicies,
    /// A breaker of its own; its state is the route's. Absent: that of the dependency, if it has one. One that is
    /// disabled stands for none at all.
    pub circuit_breaker: Option<circuit_breaker::Spec>,
}

/// All conditions must hold; an empty list holds always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Match {
    /// Any of these methods, upper case.
    pub methods: Vec<String>,
    /// The path.
    pub path: PathMatch,
    /// Any of these hosts.
    pub hosts: Vec<HostMatch>,
    /// All of these headers.
    pub headers: Vec<FieldMatch>,
    /// All of these query parameters, compared after percent-decoding.
    pub query: Vec<FieldMatch>,
}

/// A condition on the path, which is compared as it is forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Every path.
    #[default]
    Any,
    /// This path.
    Exact(String),
    /// This path and everything below it, by whole segments; kept without a trailing slash.
    Prefix(String),
    /// The whole path matches (the pattern is anchored by the router).
    Regex(String),
}

/// A condition on the host: lower case, no port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostMatch {
    /// This host.
    Exact(String),
    /// Every host that ends in this suffix, which begins with a dot: `*.example.com` is `.example.com`.
    Suffix(String),
}

/// A condition on a header or a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldMatch {
    /// Header names are lower case.
    pub name: String,
    /// What its value must be.
    pub value: ValueMatch,
}

/// A condition on a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueMatch {
    /// Exactly this.
    Exact(String),
    /// The whole value matches.
    Regex(String),
    /// There is one.
    Present,
}

/// How long each phase may take. All finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the head of the request to the last byte of the answer; streams are bound by `stream_idle` instead.
    pub total: Duration,
    /// To open a connection, TLS included.
    pub connect: Duration,
    /// From sending the request to the head of the answer.
    pub first_byte: Duration,
    /// One attempt, from choosing the endpoint to the head of the answer.
    pub per_try: Option<Duration>,
    /// Between two pieces of a body, either way.
    pub body_idle: Duration,
    /// The same for upgraded connections, gRPC and event streams.
    pub stream_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            total: Duration::from_secs(15),
            connect: Duration::from_secs(1),
            first_byte: Duration::from_secs(15),
            per_try: None,
            body_idle: Duration::from_secs(30),
            stream_idle: Duration::from_secs(300),
        }
    }
}
