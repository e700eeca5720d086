//! Retries and isolation: judged by what the blocks themselves say of their values.

use outrigger_filters::policy::Invalid;
use outrigger_filters::{isolation, retries};

use super::Build;
use crate::codes::{self, Code};
use crate::index::Spot;

impl Build<'_, '_> {
    /// A block as written.
    pub(super) fn retries(&self, written: &retries::Spec, spot: Spot<'_>) -> retries::Spec {
        // What could not be read of it is missing here, and would be missed.
        if !self.ctx.is_damaged(self.ctx.index.node(spot.id)) {
            self.report(written.validate(), codes::FILTER, spot);
        }
        written.clone().in_order()
    }

    /// The block of a dependency, which is also that of all its routes without one.
    pub(super) fn dependency_retries(&self, written: &retries::Spec, spot: Spot<'_>) -> retries::Spec {
        if written.idempotent {
            let message =
                "`idempotent: true` says that every call to this dependency can be repeated without harm";
            self.warn(
                spot.key("idempotent"),
                codes::FILTER,
                message,
                "write it on the routes of which it is true",
            );
        }
        self.retries(written, spot)
    }

    /// A block as written, or the defaults, with nothing left open.
    pub(super) fn isolation(&self, written: Option<&isolation::Spec>, spot: Spot<'_>) -> isolation::Spec {
        let isolation = written.cloned().unwrap_or_default();
        self.report(isolation.validate(), codes::RANGE, spot);
        isolation::Spec { max_connecting: Some(isolation.connecting()), ..isolation }
    }

    fn report(&self, found: Vec<Invalid>, code: Code, spot: Spot<'_>) {
        for invalid in found {
            self.error(spot.follow(&invalid.path), code, invalid.message, invalid.hint);
        }
    }
}
