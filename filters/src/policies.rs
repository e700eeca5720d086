//! The one list of policies: which there are, and in which order they are asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rate_limits::Limit;

/// Policies of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoutePolicies {
    /// How many requests in how long; all are checked, then all are charged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<Limit>,
}

impl RoutePolicies {
    /// The keys of this mapping, so that a mapping which holds more than policies can be split.
    pub const KEYS: &[&str] = &["rate_limits"];
}

/// Policies of a dependency.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamPolicies {
    /// How many requests in how long; all are checked, then all are charged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<Limit>,
}

impl UpstreamPolicies {
    /// The keys of this mapping, so that a mapping which holds more than policies can be split.
    pub const KEYS: &[&str] = &["rate_limits"];
}
