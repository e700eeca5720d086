//! Timeouts: none of them zero, none that another makes meaningless.

use std::time::Duration;

use outrigger_filters::unit::Timespan;

use super::Build;
use crate::codes;
use crate::document;
use crate::index::Spot;
use crate::plan::Timeouts;

impl Build<'_, '_> {
    /// A block as written, what it leaves out by default: `first_byte` is `total`, `connect` at most `total`.
    pub(super) fn timeouts(&self, written: &document::Timeouts, spot: Spot<'_>) -> Timeouts {
        let built_in = Timeouts::default();
        let document::Timeouts { total, connect, first_byte, body_idle, stream_idle, per_try } = *written;
        let read = |key, value: Option<Timespan>| value.map(|value| self.finite(spot.key(key), key, value));
        let total_or_default = read("total", total).unwrap_or(built_in.total);
        let timeouts = Timeouts {
            total: total_or_default,
            connect: read("connect", connect).unwrap_or_else(|| built_in.connect.min(total_or_default)),
            first_byte: read("first_byte", first_byte).unwrap_or(total_or_default),
            per_try: read("per_try", per_try),
            body_idle: read("body_idle", body_idle).unwrap_or(built_in.body_idle),
            stream_idle: read("stream_idle", stream_idle).unwrap_or(built_in.stream_idle),
        };
        self.within_total(spot, "connect", Some(timeouts.connect), &timeouts);
        self.within_total(spot, "per_try", timeouts.per_try, &timeouts);
        if timeouts.first_byte > timeouts.total {
            let message = "`first_byte` is longer than `total`, so it never passes";
            self.warn(spot.key("first_byte"), codes::TIMEOUT, message, "shorten it, or remove it");
        }
        timeouts
    }

    /// A timeout that is not zero.
    pub(crate) fn finite(&self, spot: Spot<'_>, key: &str, value: Timespan) -> Duration {
        if value.0.is_zero() {
            let message = format!("`{key}` is zero, so every request would fail");
            self.error(spot, codes::TIMEOUT, message, "give it a time; every phase has a finite one");
        }
        value.0
    }

    fn within_total(&self, spot: Spot<'_>, key: &str, value: Option<Duration>, timeouts: &Timeouts) {
        if let Some(value) = value.filter(|value| *value > timeouts.total) {
            let message = format!(
                "`{key}` ({}) is longer than `total` ({})",
                Timespan(value),
                Timespan(timeouts.total)
            );
            self.error(
                spot.key(key),
                codes::TIMEOUT,
                message,
                "`total` covers every attempt; raise it or shorten this",
            );
        }
    }
}
