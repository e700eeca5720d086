//! What is known of a request and of an attempt at it.

use std::time::Duration;

use http::Method;

use super::Condition;
use crate::outcome::{Domain, Outcome};

/// What a request says about being repeated.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its idempotency key is being recorded by this process, so that running it twice has the effect of once.
    pub keyed: bool,
    /// It is itself a retry, of the caller's or of a layer above (`outrigger-attempt` or
    /// `grpc-previous-rpc-attempts` above 0, or so by its trace).
    pub is_retry: bool,
}

/// One request on its way through its attempts. Made by [`super::Retries::begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Attempts that ended, without the free one.
    pub(super) attempts: u32,
    /// The one free retry was used.
    pub(super) freed: bool,
    pub(super) repeats: bool,
    pub(super) is_retry: bool,
}

impl Call {
    pub(super) const fn begin(original: &Original<'_>, repeats: bool) -> Self {
        Self { attempts: 0, freed: false, repeats, is_retry: original.is_retry }
    }

    /// How many attempts came before the one under way, without the free one: the value of `outrigger-attempt` and
    /// `grpc-previous-rpc-attempts`.
    #[must_use]
    pub const fn previous(&self) -> u32 {
        self.attempts
    }
}

/// How an attempt ended: its head came, or it failed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The classification.
    pub outcome: Outcome,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// False only if it is certain that the application saw nothing of it: no byte was written, HTTP/2 refused the
    /// stream, or the next hop said `outrigger-sent: 0`.
    pub sent: bool,
    /// It failed on a pooled connection that had been closed meanwhile: a fresh one to the same endpoint will do.
    pub stale: bool,
    /// There is another endpoint to go to.
    pub elsewhere: bool,
    /// The request can be sent again as it was: it has no body, none of it was read, or all of it was kept.
    pub replayable: bool,
    /// The answer's `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The answer says not to retry: `outrigger-no-retry`, or a negative `grpc-retry-pushback-ms`.
    pub no_retry: bool,
    /// What an attempt usually takes (p50), or zero: none is begun with less time left.
    pub usual: Duration,
}

impl Attempt {
    /// An attempt that ended so, replayable, all else unknown.
    #[must_use]
    pub const fn new(outcome: Outcome, status: Option<u16>, sent: bool) -> Self {
        Self {
            outcome,
            status,
            sent,
            stale: false,
            elsewhere: false,
            replayable: true,
            retry_after: None,
            no_retry: false,
            usual: Duration::ZERO,
        }
    }

    /// 429, or 503 that says when to come back: not broken, but too much.
    pub(super) const fn is_throttled(&self) -> bool {
        matches!((self.status, self.retry_after), (Some(429), _) | (Some(503), Some(_)))
    }

    /// Whether it says that the dependency fails or works; `None` if it says neither: throttled, refused by this
    /// process, broken off by the caller, or only a connection that had rested too long.
    pub(super) const fn failed(&self) -> Option<bool> {
        match self.status {
            _ if self.is_throttled() || self.outcome.is_refusal() => None,
            Some(501 | 505) => Some(false),
            Some(500..=599) => Some(true),
            Some(_) => Some(matches!(self.outcome, Outcome::GrpcError)),
            None if self.stale && !self.sent => None,
            None => match self.outcome.domain() {
                Domain::Network | Domain::Upstream => Some(true),
                Domain::None => Some(false),
                Domain::Client | Domain::Policy | Domain::Proxy => None,
            },
        }
    }

    /// Which condition of `when` it meets, if any.
    pub(super) const fn condition(&self) -> Option<Condition> {
        match (self.status, self.outcome) {
            (Some(status @ (429 | 500..=599)), _) => Some(Condition::Status(status)),
            (Some(_), _) => None,
            (None, outcome) if outcome.is_refusal() => None,
            (None, outcome) if !self.sent && matches!(outcome.domain(), Domain::Network) => {
                Some(Condition::ConnectFailure)
            }
            (None, Outcome::ConnectionTerminated) => Some(Condition::Reset),
            (
                None,
                Outcome::HttpResponseTimeout
                | Outcome::ConnectionReadTimeout
                | Outcome::ConnectionWriteTimeout,
            ) => Some(Condition::PerTryTimeout),
            (None, _) => None,
        }
    }
}
