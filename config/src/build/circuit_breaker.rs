//! Circuit breakers: what the filter itself says about the block, and what the timeouts make of it.

use std::time::Duration;

use outrigger_filters::circuit_breaker::Spec;
use outrigger_filters::unit::Timespan;

use super::Build;
use crate::codes;
use crate::index::Spot;

impl Build<'_, '_> {
    /// A block as written for calls that take at most `total`, with the slow threshold that follows from it.
    pub(super) fn breaker(&self, written: &Spec, spot: Spot<'_>, total: Duration) -> Spec {
        for invalid in written.validate() {
            self.error(spot.follow(&invalid.path), codes::FILTER, invalid.message, invalid.hint);
        }
        if let Some(threshold) = written.slow_threshold.filter(|threshold| threshold.0 > total) {
            let message = format!(
                "`slow_threshold` ({threshold}) is longer than `total` ({}), so no call is slow before it fails",
                Timespan(total)
            );
            let hint = "shorten it; absent, it is half of `total`";
            self.warn(spot.key("slow_threshold"), codes::FILTER, message, hint);
        }
        written.resolved(total)
    }
}
