//! From what an operator wrote to filters in a chain.
//!
//! A [`Policy`] is the knobs of one feature as they stand in YAML. It checks itself and builds itself into a
//! chain; building is pure: it spawns nothing, opens nothing, registers nothing that others can see.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a policy decides, only counts what it would have decided, or is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide.
    #[default]
    Enforce,
    /// Decide on state of its own, count the verdict, let the request pass.
    Shadow,
    /// As if the policy were not written.
    Disabled,
}

impl Mode {
    /// As it is written, and as the `mode` label of metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Disabled => "disabled",
        }
    }
}

/// A value that parses but cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where, from the mapping that holds the policies: `rate_limits[2].burst`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}
