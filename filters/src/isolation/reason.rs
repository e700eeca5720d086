//! Why a call is turned away.

use std::time::Duration;

use crate::filter::{Rejection, RuleId};
use crate::outcome::Outcome;

/// Why a call is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// As many are in flight as may be, and nobody may wait.
    InFlight,
    /// The same, by the dependency's share of the process.
    Share,
    /// The line is full.
    Queue,
    /// It waited for `queue_timeout`, or until its deadline.
    Timeout,
    /// It waited in a line that stands, while newer calls went in.
    Codel,
    /// As many bytes are held as may be.
    Bytes,
}

impl Reason {
    /// Every reason; the position of each is its `u8`.
    pub const ALL: [Self; 6] =
        [Self::InFlight, Self::Share, Self::Queue, Self::Timeout, Self::Codel, Self::Bytes];

    /// The `reason` label of metrics, and the word in `Proxy-Status` details.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Share => "share",
            Self::Queue => "queue",
            Self::Timeout => "timeout",
            Self::Codel => "codel",
            Self::Bytes => "bytes",
        }
    }
}

/// No room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Of what.
    pub reason: Reason,
}

impl Full {
    /// The verdict as any filter's: 503, to be asked again after a second.
    #[must_use]
    pub const fn rejection(self) -> Rejection {
        Rejection {
            filter: super::NAME,
            rule: RuleId(0),
            reason: self.reason.label(),
            status: 503,
            error: "connection_limit_reached",
            outcome: Outcome::ConnectionLimitReached,
            retry_after: Duration::from_secs(1),
            quota: None,
        }
    }
}
