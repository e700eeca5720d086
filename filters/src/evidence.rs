//! The feed table: what the end of an attempt means to whoever learns from it.
//!
//! Breaker, outlier detection, balancer, adaptive limit, retry budget and SLI must not disagree about what a failure
//! is, so each reads its own column of this one table and none looks at an outcome by itself. Its rules:
//!
//! * What this process refused by itself teaches nobody anything about the upstream.
//! * 429, gRPC RESOURCE_EXHAUSTED, and 503 with `Retry-After` are throttling: the upstream works and says when.
//! * 501 and 505 say what the upstream cannot do, not how it is.
//! * A timeout of ours is a failure and slow. A caller who leaves says nothing, unless the call was slow by then.
//! * What only the caller's own choice decides (a 4xx, a refused upgrade) is no failure: else one caller could open
//!   a breaker for all.

use std::time::Duration;

use crate::outcome::{Domain, Outcome};

/// How an attempt ended, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The one classification.
    pub outcome: Outcome,
    /// The status of the upstream's answer, if there was one.
    pub status: Option<u16>,
    /// Its `grpc-status`, if it is gRPC.
    pub grpc: Option<u16>,
    /// Its `Retry-After` or gRPC pushback.
    pub retry_after: Option<Duration>,
}

impl Ended {
    /// Without an answer, or one of which the status does not matter.
    #[must_use]
    pub const fn new(outcome: Outcome) -> Self {
        Self { outcome, status: None, grpc: None, retry_after: None }
    }

    /// With an answer of this HTTP status.
    #[must_use]
    pub const fn with_status(outcome: Outcome, status: u16) -> Self {
        Self { status: Some(status), ..Self::new(outcome) }
    }
}

/// What a circuit breaker learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Nothing,
    /// The upstream answered, in time or not.
    Good {
        /// Later than the slow threshold.
        slow: bool,
    },
    /// It failed.
    Bad {
        /// No connection came about.
        connect: bool,
        /// It took longer than the slow threshold, or until a timeout.
        slow: bool,
    },
    /// It asks for fewer calls. Opens nothing, and is no success of a probe.
    Throttled,
}

/// What outlier detection learns about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    Nothing,
    /// It works.
    Good,
    /// It failed.
    Bad,
    /// It could not be reached.
    Unreachable,
    /// It asks for fewer calls.
    Throttled,
}

/// What the balancer takes for the response time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// No sample.
    Nothing,
    /// What was measured.
    Measured,
    /// What was measured, at least this: fast failures must not attract traffic.
    AtLeast(Duration),
}

/// What an adaptive limit learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Nothing: a fast failure must not raise the limit, and says nothing about load.
    Nothing,
    /// A latency.
    Latency,
    /// A sign of overload.
    Drop,
}

/// What the service level counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sli {
    /// Valid and good.
    Good,
    /// Valid and bad.
    Bad,
    /// Not the service's doing; counted apart.
    Excluded,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// For the circuit breaker.
    pub breaker: Verdict,
    /// For outlier detection.
    pub outlier: Mark,
    /// For the balancer.
    pub balancer: Score,
    /// For the adaptive limit.
    pub limit: Sample,
    /// Whether it earns the retry budget something.
    pub deposit: bool,
    /// For availability.
    pub sli: Sli,
}

/// What a failed attempt scores at least.
const FAILED: Duration = Duration::from_secs(1);
/// What a throttled one scores at most, whatever `Retry-After` says.
const THROTTLED_AT_MOST: Duration = Duration::from_secs(10);

/// The row of an ending. `slow`: it took longer than the slow threshold.
#[must_use]
pub const fn evidence(ended: Ended, slow: bool) -> Evidence {
    match ended.outcome {
        Outcome::Ok | Outcome::ClientError | Outcome::Upstream5xx | Outcome::GrpcError => {
            answered(ended, slow)
        }
        Outcome::DnsError => Evidence { outlier: Mark::Nothing, ..unreachable(slow) },
        Outcome::DnsTimeout => Evidence { outlier: Mark::Nothing, ..timed_out(true) },
        Outcome::ConnectionRefused
        | Outcome::TlsCertificateError
        | Outcome::TlsProtocolError
        | Outcome::TlsAlertReceived => unreachable(slow),
        Outcome::ConnectionTimeout => Evidence { outlier: Mark::Unreachable, ..timed_out(true) },
        Outcome::ConnectionReadTimeout | Outcome::ConnectionWriteTimeout | Outcome::HttpResponseTimeout => {
            timed_out(false)
        }
        Outcome::ConnectionTerminated | Outcome::HttpProtocolError | Outcome::HttpResponseIncomplete => {
            failed(slow)
        }
        Outcome::HttpUpgradeFailed => Evidence { sli: Sli::Bad, ..NOTHING },
        Outcome::ClientCancelled if slow => ABANDONED,
        Outcome::ClientCancelled => NOTHING,
        Outcome::DestinationUnavailable
        | Outcome::ConnectionLimitReached
        | Outcome::RateLimited
        | Outcome::RouteNotFound
        | Outcome::BadRequest
        | Outcome::SlowClient
        | Outcome::RequestDenied
        | Outcome::ProxyLoopDetected
        | Outcome::ProxyInternalError => refused(ended.outcome),
    }
}

const NOTHING: Evidence = Evidence {
    breaker: Verdict::Nothing,
    outlier: Mark::Nothing,
    balancer: Score::Nothing,
    limit: Sample::Nothing,
    deposit: false,
    sli: Sli::Excluded,
};

/// Left after the slow threshold: as slow as an answer would have been, and nothing better.
const ABANDONED: Evidence = Evidence {
    breaker: Verdict::Good { slow: true },
    balancer: Score::Measured,
    limit: Sample::Drop,
    sli: Sli::Bad,
    ..NOTHING
};

/// The upstream answered; what it said decides.
const fn answered(ended: Ended, slow: bool) -> Evidence {
    if is_throttled(ended) {
        return throttled(ended.retry_after);
    }
    let failure = match (ended.outcome, ended.status, ended.grpc) {
        (Outcome::Upstream5xx, Some(501 | 505), _) | (Outcome::GrpcError, _, Some(12)) => None,
        (Outcome::Upstream5xx | Outcome::GrpcError, _, _) => Some(failed(slow)),
        _ => None,
    };
    if let Some(row) = failure {
        return row;
    }
    let good = matches!(ended.outcome, Outcome::Ok | Outcome::ClientError);
    Evidence {
        breaker: Verdict::Good { slow },
        outlier: Mark::Good,
        balancer: Score::Measured,
        limit: Sample::Latency,
        deposit: good,
        sli: if good { Sli::Good } else { Sli::Bad },
    }
}

const fn is_throttled(ended: Ended) -> bool {
    match (ended.status, ended.grpc) {
        (Some(429), _) | (_, Some(8)) => true,
        (Some(503), _) => ended.retry_after.is_some(),
        _ => false,
    }
}

const fn throttled(retry_after: Option<Duration>) -> Evidence {
    let floor = match retry_after {
        Some(wait) if wait.as_nanos() > THROTTLED_AT_MOST.as_nanos() => THROTTLED_AT_MOST,
        Some(wait) if wait.as_nanos() > FAILED.as_nanos() => wait,
        _ => FAILED,
    };
    Evidence {
        breaker: Verdict::Throttled,
        outlier: Mark::Throttled,
        balancer: Score::AtLeast(floor),
        limit: Sample::Drop,
        deposit: false,
        sli: Sli::Bad,
    }
}

const fn failed(slow: bool) -> Evidence {
    Evidence {
        breaker: Verdict::Bad { connect: false, slow },
        outlier: Mark::Bad,
        balancer: Score::AtLeast(FAILED),
        limit: Sample::Nothing,
        deposit: false,
        sli: Sli::Bad,
    }
}

const fn unreachable(slow: bool) -> Evidence {
    Evidence { breaker: Verdict::Bad { connect: true, slow }, outlier: Mark::Unreachable, ..failed(slow) }
}

const fn timed_out(connect: bool) -> Evidence {
    Evidence { breaker: Verdict::Bad { connect, slow: true }, limit: Sample::Drop, ..failed(true) }
}

/// Our own refusal: bad for who asked, unless it was the caller's fault, and no news of the upstream.
const fn refused(outcome: Outcome) -> Evidence {
    let sli = if matches!(outcome.domain(), Domain::Client) { Sli::Excluded } else { Sli::Bad };
    Evidence { sli, ..NOTHING }
}

#[cfg(test)]
mod tests;
