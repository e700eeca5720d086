//! Isolation as written.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Mode;
use crate::unit::{Percent, Size, Timespan};

/// What a dependency may take of the sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Isolation", deny_unknown_fields, default)]
#[schemars(rename = "Isolation")]
pub struct Spec {
    /// Calls in flight, over all workers. Default 256.
    pub max_in_flight: NonZeroU32,
    /// Calls waiting for one in flight to end, over all workers; 0: nobody waits. Default 64, at most 1024.
    pub max_queue: u32,
    /// How long a call waits, for a connection too; less if its deadline is nearer. Default `100ms`, at most `10s`.
    pub queue_timeout: Timespan,
    /// Its share of what the whole sidecar may have in flight and in buffers, where there are several dependencies.
    /// Default `50%`.
    pub max_share: Percent,
    /// Bytes of bodies held for it at once. Default `8MiB`.
    pub max_buffered: Size,
    /// Connections to one endpoint. Default 256.
    pub max_connections_per_endpoint: NonZeroU32,
    /// Connections to one endpoint being opened at once, for each worker. Default 16, or the number of connections if
    /// that is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connecting: Option<NonZeroU32>,
    /// Whether it decides or only counts; the bounds on connections and `queue_timeout` hold in any case. Default
    /// `enforce`.
    pub mode: Mode,
}

const fn at_least_one(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            max_in_flight: at_least_one(256),
            max_queue: 64,
            queue_timeout: Timespan::from_millis(100),
            max_share: Percent::whole(50),
            max_buffered: Size(8 << 20),
            max_connections_per_endpoint: at_least_one(256),
            max_connecting: None,
            mode: Mode::Enforce,
        }
    }
}

impl Spec {
    /// The bound on connections being opened that is in force.
    #[must_use]
    pub fn connecting(&self) -> NonZeroU32 {
        self.max_connecting.unwrap_or_else(|| at_least_one(16).min(self.max_connections_per_endpoint))
    }
}
