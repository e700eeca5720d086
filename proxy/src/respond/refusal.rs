//! Why a request is not let in, whatever the policy.

use crate::hygiene::hop::BadFields;
use crate::hygiene::path::Ambiguous;
use crate::server::signals::Trouble;

/// A request that is not let in, whatever the policy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// Its framing, or its pace.
    Trouble(Trouble),
    /// Its path can be read in two ways.
    Path(Ambiguous),
    /// It names no host, or several.
    Host,
    /// Its header fields contradict themselves.
    Fields(BadFields),
    /// CONNECT.
    Method,
    /// No dependency answers to its host.
    UnknownHost,
    /// It has passed too many sidecars.
    Loop,
}

impl Refusal {
    /// A short word for it.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Trouble(Trouble::Malformed(malformed)) => malformed.reason(),
            Self::Trouble(Trouble::SlowHead) => "slow-head",
            Self::Path(ambiguous) => ambiguous.reason(),
            Self::Host => "host-missing-or-ambiguous",
            Self::Fields(fields) => fields.reason(),
            Self::Method => "connect",
            Self::UnknownHost => "unknown-host",
            Self::Loop => "loop",
        }
    }

    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Trouble(Trouble::Malformed(malformed)) => malformed.status(),
            Self::Trouble(Trouble::SlowHead) => 408,
            Self::Path(ambiguous) => ambiguous.status(),
            Self::Host | Self::Fields(_) => 400,
            Self::Method => 405,
            Self::UnknownHost => 404,
            Self::Loop => 502,
        }
    }
}
