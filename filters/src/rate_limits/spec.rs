//! Rate limits as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Mode;
use crate::unit::{Rate, Timespan};

/// Keys a limit remembers unless it says otherwise.
pub const DEFAULT_MAX_KEYS: u32 = 65_536;

/// One rate limit: so many requests in a span of time, for everybody together or for each key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The identity of the limit: its state follows this name through every change of policy.
    pub name: String,
    /// How many, in how long: `100/s`, `5000/m`.
    pub rate: Rate,
    /// How many may come at once. Default: what the rate grants in one second, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// What a bucket stands for; empty: one bucket for all requests. At most 4 parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyPart>,
    /// How many keys have a bucket of their own at one time. Default 65536, at most 1000000.
    #[serde(default = "default_max_keys", skip_serializing_if = "is_default_max_keys")]
    pub max_keys: u32,
    /// Wait up to this long for a token instead of refusing. Default `0s`, at most `10s`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pacing: Timespan,
    /// What happens to a key beyond `max_keys`. Default `shared`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_overflow: OnOverflow,
    /// When responses carry `RateLimit` and `RateLimit-Policy`. Default `deny`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers: Headers,
    /// Whether the limit decides or only counts. Default `enforce`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

impl Limit {
    /// A limit for everybody together, all else by default.
    #[must_use]
    pub fn new(name: impl Into<String>, rate: Rate) -> Self {
        Self {
            name: name.into(),
            rate,
            burst: None,
            key: Vec::new(),
            max_keys: DEFAULT_MAX_KEYS,
            pacing: Timespan::default(),
            on_overflow: OnOverflow::default(),
            headers: Headers::default(),
            mode: Mode::default(),
        }
    }

    /// The burst in force: as written, or one second of the rate, at least 1.
    #[must_use]
    pub fn burst(&self) -> u64 {
        self.burst.unwrap_or_else(|| self.rate.count_in(std::time::Duration::from_secs(1))).max(1)
    }
}

/// One part of a key. Requests without the part (no such header) share one value of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyPart {
    /// The value of a request header; the first, if there are several.
    Header(String),
    /// The value of a query parameter as sent; the first, if there are several.
    Query(String),
    /// The caller's address; IPv6 by /64, since one host commonly owns that many.
    ClientIp,
    /// The caller's SPIFFE identity, from its certificate.
    SpiffeId,
    /// A claim of the bearer token. **The signature is not verified here**: use it only behind something
    /// that does, else callers choose their own key.
    JwtClaim(String),
    /// The request method.
    Method,
    /// The name of the matched route.
    Route,
    /// A parameter captured from the path by the route's match.
    PathParam(String),
}

/// What happens to a key for which the table has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOverflow {
    /// It shares one of 1,024 overflow buckets, each with the rate of one key: the bound holds for every key.
    #[default]
    Shared,
    /// It is refused.
    Deny,
    /// It passes, uncounted: the bound does not hold.
    Allow,
}

/// When responses carry `RateLimit` and `RateLimit-Policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Headers {
    /// Never.
    Off,
    /// On refusals.
    #[default]
    Deny,
    /// On every response.
    Always,
}

const fn default_max_keys() -> u32 {
    DEFAULT_MAX_KEYS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_default_max_keys(max_keys: &u32) -> bool {
    *max_keys == DEFAULT_MAX_KEYS
}

fn is_zero(span: &Timespan) -> bool {
    span.0.is_zero()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
