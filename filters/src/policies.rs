//! The one list of policies: which there are, and in which order they are asked.
//!
//! One line a policy, in each mapping it may stand in: `key: type`, in the order in which they are asked. The order
//! is code, not configuration: most other orders are mistakes. Everything else (fields, keys, schema, checks, the
//! chain) follows from the line, so none can be forgotten.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::policy::{AnyPolicy, Build, Invalid, Policy as _};
use crate::state::StateStore;

policies! {
    /// Policies of a route.
    RoutePolicies {
        /// How many requests in how long; all are checked, then all are charged.
        // First: cheap, and fair between keys before any shared capacity is touched.
        rate_limits: Vec<crate::rate_limits::Limit>,
    }

    /// Policies of a dependency.
    UpstreamPolicies {
        /// How many requests in how long; all are checked, then all are charged.
        rate_limits: Vec<crate::rate_limits::Limit>,
    }
}

macro_rules! policies {
    ($($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $key:ident: $policy:ty,)+ })+) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$doc])* #[serde(skip_serializing_if = "is_default")] pub $key: $policy,)+
        }

        impl $name {
            /// The keys of this mapping, so that a mapping which holds more than policies can be split.
            pub const KEYS: &[&str] = &[$(stringify!($key)),+];

            /// Each policy once.
            #[must_use]
            pub fn example() -> Self {
                Self { $($key: <$policy>::example()),+ }
            }

            /// What parses but cannot be meant; paths begin with a key, such as `rate_limits[2].burst`.
            #[must_use]
            pub fn validate(&self) -> Vec<Invalid> {
                validate(&self.parts())
            }

            /// The chain that enforces them. `owner` is whose they are, the same through every change: its state is
            /// found by it. For a chain that was replaced, build anew instead of installing it again: its pace is
            /// outdated.
            #[must_use]
            pub fn build(&self, owner: &str, store: &StateStore) -> Arc<Chain> {
                build(&self.parts(), owner, store)
            }

            /// In the order in which they are asked.
            fn parts(&self) -> Vec<&dyn AnyPolicy> {
                vec![$(&self.$key),+]
            }
        }
    )+};
}
use policies;

/// What was not written is not shown.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
