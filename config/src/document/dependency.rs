//! A dependency as written.

use std::path::PathBuf;

use outrigger_filters::circuit_breaker;
use outrigger_filters::policies::RoutePolicies;
use outrigger_filters::unit::Timespan;
use outrigger_filters::{balance, isolation, retries};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{DependencyTimeouts, Match, RouteBlock, Timeouts};
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
    /// When to stop calling it; one breaker for all routes that have none of their own.
    pub(crate) circuit_breaker: Option<circuit_breaker::Spec>,
    /// What it may take of the sidecar.
    pub(crate) isolation: Option<isolation::Spec>,
    /// Which endpoint takes the next call. Default: the better of two, by time, calls in flight and failures.
    pub(crate) balance: Option<balance::Spec>,
    /// When a failed call is made again. Default: only what was certainly not sent, once.
    pub(crate) retries: Option<retries::Spec>,
    /// Named matches of calls to it; a route `default` always exists.
    #[serde(default)]
    pub(crate) routes: Each<Written<DependencyRoute, RoutePolicies>>,
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

/// A named match of calls and what applies to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DependencyRoute {
    /// The identity of the route: its state follows this name.
    #[schemars(pattern(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"))]
    pub(crate) name: String,
    /// Which calls. Default: all.
    #[serde(rename = "match")]
    pub(crate) matches: Option<Match>,
    /// How long each phase may take; replaces the dependency's block whole.
    pub(crate) timeouts: Option<Timeouts>,
    /// When a failed call is made again; replaces the dependency's block whole.
    pub(crate) retries: Option<retries::Spec>,
    /// A breaker of its own, which only its calls feed; replaces the dependency's block whole.
    pub(crate) circuit_breaker: Option<circuit_breaker::Spec>,
}

impl RouteBlock for DependencyRoute {
    fn common(&self) -> (&str, Option<&Match>, Option<&Timeouts>) {
        (&self.name, self.matches.as_ref(), self.timeouts.as_ref())
    }

    fn circuit_breaker(&self) -> Option<&circuit_breaker::Spec> {
        self.circuit_breaker.as_ref()
    }

    fn retries(&self) -> Option<&retries::Spec> {
        self.retries.as_ref()
    }
}
