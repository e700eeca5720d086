//! A dependency as written.

use std::num::NonZeroU32;
use std::path::PathBuf;

use outrigger_filters::circuit_breaker;
use outrigger_filters::policies::RoutePolicies;
use outrigger_filters::unit::Timespan;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{DependencyTimeouts, Route};
use crate::decode::{Each, Written};

/// A thing the service calls.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dependency {
    /// Hosts by which the outbound listener knows it: `inventory.internal` or `*.inventory.internal`.
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
    /// A port of its own: `127.0.0.1:15101`.
    pub(crate) listen: Option<String>,
    /// Its endpoints, written out; or `discover`.
    pub(crate) endpoints: Option<Each<Endpoint>>,
    /// Where its endpoints come from; or `endpoints`.
    pub(crate) discover: Option<Discover>,
    /// The HTTP spoken to it. Default `http1`.
    pub(crate) protocol: Option<Protocol>,
    /// TLS towards it; absent: plain connections.
    pub(crate) tls: Option<Tls>,
    /// What `Host` to send. Default: what the caller sent.
    pub(crate) host_header: Option<String>,
    /// How long each phase may take.
    pub(crate) timeouts: Option<DependencyTimeouts>,
    /// What it may take of the sidecar.
    pub(crate) isolation: Option<Isolation>,
    /// When to stop calling it; one breaker for all routes that have none of their own.
    pub(crate) circuit_breaker: Option<circuit_breaker::Spec>,
    /// Named matches of calls to it; a route `default` always exists.
    #[serde(default)]
    pub(crate) routes: Each<Written<Route, RoutePolicies>>,
}

/// One address of a dependency.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    /// `10.0.1.5:9000`, `[2001:db8::1]:9000` or `unix:/path`.
    pub(crate) address: String,
    /// What it is to the dependency. Default `primary`.
    #[serde(default, rename = "role")]
    pub(crate) _role: Role,
}

/// What an endpoint is to its dependency.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Takes reads and writes.
    #[default]
    Primary,
}

/// Where endpoints come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discover {
    /// A name and a port, `inventory.svc:9000`: every address it resolves to.
    pub(crate) dns: String,
    /// How long an answer is used. Default `5s`.
    pub(crate) every: Option<Timespan>,
}

/// The HTTP spoken to a dependency.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, with prior knowledge on plain connections.
    H2,
    /// By ALPN; needs `tls`.
    Auto,
}

/// TLS towards a dependency. Verification is never off.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Name to verify and to send as SNI. Default: the host of the address.
    pub(crate) server_name: Option<String>,
    /// PEM file with the roots to trust. Default: the machine's.
    pub(crate) ca: Option<PathBuf>,
    /// PEM file with our certificate chain; with `key`.
    pub(crate) cert: Option<PathBuf>,
    /// PEM file with our private key; with `cert`.
    pub(crate) key: Option<PathBuf>,
}

/// What a dependency may take of the sidecar.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Isolation {
    /// Connections to one endpoint. Default 256.
    pub(crate) max_connections_per_endpoint: Option<NonZeroU32>,
    /// Connections to one endpoint being opened at once, for each worker. Default 16.
    pub(crate) max_connecting: Option<NonZeroU32>,
}
