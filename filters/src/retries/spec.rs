//! Retries as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;
use crate::policy::Mode;
use crate::unit::{Percent, Size, Timespan};

/// When a failed call is made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Retries", deny_unknown_fields, default)]
#[schemars(rename = "Retries")]
pub struct Spec {
    /// How many attempts, the first included. Default 3; 1 is no retries, 5 the most.
    pub attempts: u32,
    /// Upon what: `connect_failure`, `reset`, `per_try_timeout`, 429 or any 5xx, as number or text. Default: the three
    /// and 502, 503, 504.
    pub when: Vec<Condition>,
    /// How long to wait before a retry.
    pub backoff: Backoff,
    /// How many retries there may be for all requests together.
    pub budget: Budget,
    /// Methods that are repeated although the request may have run. Default GET, HEAD, OPTIONS; TRACE, PUT and DELETE
    /// can be added. Others need `idempotent`.
    pub methods: Vec<String>,
    /// Every request here can be repeated without harm, whatever its method. Default false.
    pub idempotent: bool,
    /// How much of a body is kept to be sent again; longer ones are not retried once sent. Default `64KiB`.
    pub replay: Size,
    /// Whether it decides or only counts. Default `enforce`.
    pub mode: Mode,
}

impl Default for Spec {
    fn default() -> Self {
        let status = [502, 503, 504].map(Condition::Status);
        let mut when = vec![Condition::ConnectFailure, Condition::Reset, Condition::PerTryTimeout];
        when.extend(status);
        Self {
            attempts: 3,
            when,
            backoff: Backoff::default(),
            budget: Budget::default(),
            methods: ["GET", "HEAD", "OPTIONS"].map(str::to_owned).to_vec(),
            idempotent: false,
            replay: Size(64 << 10),
            mode: Mode::Enforce,
        }
    }
}

impl Spec {
    /// The same, with lists in one order: two blocks that mean the same are equal.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.when.sort_unstable();
        self.methods.sort_unstable();
        self
    }
}

/// How long to wait before a retry: any time up to `base`, then twice, four times it, at most `max` (full jitter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// The longest wait before the first retry. Default `25ms`.
    pub base: Timespan,
    /// The longest wait before any. Default `250ms`, at most `30s`.
    pub max: Timespan,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Timespan::from_millis(25), max: Timespan::from_millis(250) }
    }
}

/// How many retries there may be for all requests to the dependency together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "RetryBudget", deny_unknown_fields, default)]
pub struct Budget {
    /// Retries for each request, over ten seconds. Default `10%`.
    pub ratio: Percent,
    /// So many a second in any case; ten seconds of it can be saved up. Default 1, at most 1000.
    pub min_per_second: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { ratio: Percent::whole(10), min_per_second: 1 }
    }
}
