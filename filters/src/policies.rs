//! The one list of policies: which there are, and in which order they are asked.
//!
//! The order is code, not configuration: most other orders are mistakes. A policy that is missing from one of the
//! two lines of `parts` does not compile (destructuring names every field) or fails a test (`KEYS`).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::policy::{AnyPolicy, Build, Invalid, Policy as _};
use crate::rate_limits::Limit;
use crate::state::StateStore;

/// Policies of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoutePolicies {
    /// How many requests in how long; all are checked, then all are charged.
    // First: cheap, and fair between keys before any shared capacity is touched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<Limit>,
}

impl RoutePolicies {
    /// The keys of this mapping, so that a mapping which holds more than policies can be split.
    pub const KEYS: &[&str] = &["rate_limits"];

    /// Each policy once.
    #[must_use]
    pub fn example() -> Self {
        Self { rate_limits: Vec::example() }
    }

    /// What parses but cannot be meant; paths begin with a key, such as `rate_limits[2].burst`.
    #[must_use]
    pub fn validate(&self) -> Vec<Invalid> {
        validate(&self.parts())
    }

    /// The chain that enforces them. `owner` is whose they are, the same through every change: its state is found
    /// by it. For a chain that was replaced, build anew instead of installing it again: its pace is outdated.
    #[must_use]
    pub fn build(&self, owner: &str, store: &StateStore) -> Arc<Chain> {
        build(&self.parts(), owner, store)
    }

    /// In the order in which they are asked.
    fn parts(&self) -> Vec<&dyn AnyPolicy> {
        let Self { rate_limits } = self;
        vec![rate_limits]
    }
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

    /// Each policy once.
    #[must_use]
    pub fn example() -> Self {
        Self { rate_limits: Vec::example() }
    }

    /// What parses but cannot be meant; paths begin with a key, such as `rate_limits[2].burst`.
    #[must_use]
    pub fn validate(&self) -> Vec<Invalid> {
        validate(&self.parts())
    }

    /// The chain that enforces them; see [`RoutePolicies::build`].
    #[must_use]
    pub fn build(&self, owner: &str, store: &StateStore) -> Arc<Chain> {
        build(&self.parts(), owner, store)
    }

    /// In the order in which they are asked.
    fn parts(&self) -> Vec<&dyn AnyPolicy> {
        let Self { rate_limits } = self;
        vec![rate_limits]
    }
}

fn validate(parts: &[&dyn AnyPolicy]) -> Vec<Invalid> {
    let mut found = Vec::new();
    for part in parts {
        let mut own = Vec::new();
        part.check(&mut own);
        found.extend(own.into_iter().map(|invalid| invalid.under(part.name())));
    }
    found
}

fn build(parts: &[&dyn AnyPolicy], owner: &str, store: &StateStore) -> Arc<Chain> {
    let mut build = Build::new(owner, store);
    for part in parts {
        part.mount(&mut build);
    }
    Arc::new(build.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(policies: impl Serialize) -> Vec<String> {
        let serde_json::Value::Object(map) = serde_json::to_value(policies).unwrap() else {
            panic!("no mapping")
        };
        map.into_iter().map(|(key, _)| key).collect()
    }

    fn names(parts: &[&dyn AnyPolicy]) -> Vec<&'static str> {
        parts.iter().map(|part| part.name()).collect()
    }

    #[test]
    fn keys_fields_and_parts_are_the_same() {
        let (route, upstream) = (RoutePolicies::example(), UpstreamPolicies::example());
        assert_eq!(names(&route.parts()), RoutePolicies::KEYS);
        assert_eq!(fields(&route), RoutePolicies::KEYS);
        assert_eq!(names(&upstream.parts()), UpstreamPolicies::KEYS);
        assert_eq!(fields(&upstream), UpstreamPolicies::KEYS);
    }

    #[test]
    fn paths_begin_with_the_key() {
        let mut policies = RoutePolicies::example();
        policies.rate_limits[1].burst = Some(0);
        let paths: Vec<_> = policies.validate().into_iter().map(|invalid| invalid.path).collect();
        assert_eq!(paths, ["rate_limits[1].burst"]);
    }
}
