//! The policy document as written: what may stand where. What it means is `build`'s.
//!
//! These types are the language: the reader, the JSON Schema and the suggestions for unknown keys all come
//! from them, and so do the descriptions an editor shows. Keys of the filters are theirs
//! (`outrigger_filters::policies`); a block in which they may stand is [`Written`] with them.

mod dependency;
mod matches;
mod timeouts;

use outrigger_filters::circuit_breaker;
use outrigger_filters::policies::{RoutePolicies, UpstreamPolicies};
use outrigger_filters::retries;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use dependency::{Dependency, Discover, Endpoint, Protocol, Tls};
pub(crate) use matches::{FieldValue, Fields, Match};
pub(crate) use timeouts::{DependencyTimeouts, Timeouts};

use crate::decode::{Each, Named, Written};

/// What a sidecar does with requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Outrigger policy")]
pub(crate) struct Document {
    /// The version of the language: 1.
    #[schemars(range(min = 1, max = 1))]
    pub(crate) version: u32,
    /// The service this policy is for.
    pub(crate) service: Option<String>,
    /// Requests to the app.
    pub(crate) inbound: Option<Inbound>,
    /// Requests of the app to hosts that no dependency names.
    pub(crate) outbound: Option<Outbound>,
    /// What the app calls, by name. State, labels and logs follow the name.
    #[serde(default)]
    pub(crate) dependencies: Named<Written<Dependency, UpstreamPolicies>>,
}

/// Requests to the app.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inbound {
    /// Where the app listens: `http://`, `h2c://` or `https://` with a host and port, or `unix:/path`. Default: what `--app` says.
    pub(crate) app: Option<String>,
    /// A path on the app that must answer 2xx before the sidecar is ready. Default: the app is not asked.
    pub(crate) readiness: Option<String>,
    /// What every route gets that has no such block of its own.
    pub(crate) defaults: Option<Written<Defaults, RoutePolicies>>,
    /// Named matches. The most specific one that matches applies; a route `default` always exists.
    #[serde(default)]
    pub(crate) routes: Each<Written<Route, RoutePolicies>>,
}

/// What every route gets that has no such block of its own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defaults {
    /// How long each phase may take.
    pub(crate) timeouts: Option<Timeouts>,
    /// When to stop calling the app; each route has a breaker of its own.
    pub(crate) circuit_breaker: Option<circuit_breaker::Spec>,
}

/// Requests of the app to hosts that no dependency names.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outbound {
    /// Refuse them (404), or pass them on with default policies. Default `refuse`.
    #[serde(default)]
    pub(crate) unknown_hosts: UnknownHosts,
}

/// What to do with a host that no dependency names.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnknownHosts {
    /// Answer 404.
    #[default]
    Refuse,
    /// Send the request where its Host says.
    Pass,
}

/// A named match and what applies to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// The identity of the route: its state follows this name.
    #[schemars(pattern(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"))]
    pub(crate) name: String,
    /// Which requests. Default: all.
    #[serde(rename = "match")]
    pub(crate) matches: Option<Match>,
    /// How long each phase may take; replaces the parent's block whole.
    pub(crate) timeouts: Option<Timeouts>,
    /// A breaker of its own, which only its calls feed; replaces the parent's block whole.
    pub(crate) circuit_breaker: Option<circuit_breaker::Spec>,
}

/// What the routes of both sides have.
pub(crate) trait RouteBlock {
    /// Name, match and timeouts.
    fn common(&self) -> (&str, Option<&Match>, Option<&Timeouts>);

    /// A breaker of its own.
    fn circuit_breaker(&self) -> Option<&circuit_breaker::Spec>;

    /// Retries, where a route can have them.
    fn retries(&self) -> Option<&retries::Spec> {
        None
    }
}

impl RouteBlock for Route {
    fn common(&self) -> (&str, Option<&Match>, Option<&Timeouts>) {
        (&self.name, self.matches.as_ref(), self.timeouts.as_ref())
    }

    fn circuit_breaker(&self) -> Option<&circuit_breaker::Spec> {
        self.circuit_breaker.as_ref()
    }
}
