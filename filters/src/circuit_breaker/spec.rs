//! A circuit breaker as written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::{Invalid, Mode};
use crate::unit::{Percent, Timespan};

/// The longest window and slow threshold: what the meters remember.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(60);

/// The shortest slow threshold.
pub(super) const SHORTEST_THRESHOLD: Duration = Duration::from_millis(1);

/// When to stop calling what fails, and how to begin again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "CircuitBreaker")]
pub struct Spec {
    /// How far back calls are counted. Default `10s`, from `1s` to `1m`.
    pub window: Timespan,
    /// Ratios are not judged on fewer calls in the window. Default 20.
    pub min_requests: u32,
    /// Open when this share of the calls in the window failed. Default `50%`.
    pub failure_ratio: Percent,
    /// Open when this share of the calls in the window was slow, or hangs. Default `80%`.
    pub slow_ratio: Percent,
    /// A call is slow when its answer has not begun after this time. Default: half of the total timeout, at most `1m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_threshold: Option<Timespan>,
    /// How long to stay open the first time, give or take a fifth; twice as long after each relapse. Default `5s`.
    pub open_for: Timespan,
    /// How long to stay open at most, before the fifth. Default `1m`.
    pub max_open_for: Timespan,
    /// How many calls at once try whether it works again; three successes of five are needed. Default 3, at most 5.
    pub probes: u32,
    /// What share of the calls is let through in each second after that. Default `[10%, 20%, 40%, 80%]`.
    pub ramp: Vec<Percent>,
    /// With fewer than `min_requests` in a minute, open after so many failures in a row. Default 5.
    pub consecutive: u32,
    /// Whether it decides or only counts. Default `enforce`.
    pub mode: Mode,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            window: Timespan::from_secs(10),
            min_requests: 20,
            failure_ratio: Percent::whole(50),
            slow_ratio: Percent::whole(80),
            slow_threshold: None,
            open_for: Timespan::from_secs(5),
            max_open_for: Timespan::from_secs(60),
            probes: 3,
            ramp: [10, 20, 40, 80].map(Percent::whole).to_vec(),
            consecutive: 5,
            mode: Mode::Enforce,
        }
    }
}

impl Spec {
    /// The key in YAML, the `filter` of rejections and metrics.
    pub const NAME: &'static str = "circuit_breaker";

    /// A sensible use of it.
    #[must_use]
    pub fn example() -> Self {
        Self { slow_threshold: Some(Timespan::from_secs(1)), ..Self::default() }
    }

    /// When a call is slow: as written, or half of `total`.
    #[must_use]
    pub fn slow_threshold(&self, total: Duration) -> Duration {
        let half = (total / 2).clamp(SHORTEST_THRESHOLD, LONGEST_WINDOW);
        self.slow_threshold.map_or(half, |written| written.0)
    }

    /// The same with nothing left to what `total` decides.
    #[must_use]
    pub fn resolved(&self, total: Duration) -> Self {
        Self { slow_threshold: Some(Timespan(self.slow_threshold(total))), ..self.clone() }
    }

    /// What parses but cannot be meant; paths are relative to the block: `.window`, `.ramp[1]`.
    #[must_use]
    pub fn validate(&self) -> Vec<Invalid> {
        super::validate::spec(self)
    }
}
