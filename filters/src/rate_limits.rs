//! Rate limits: so many requests in a span of time, for everybody or for each key, with a burst.
//!
//! **Decides** whether a request is within every limit of its list. All limits are checked before any is charged,
//! so a request that one refuses costs nothing in the others. With `pacing` a request that is early by no more
//! than that passes with the moment from which it may go on.
//!
//! **State**: a token bucket (one word; `meter/gcra.rs`) for the limit or for each key. It is found by
//! the limit's name and survives every change of policy; a new rate or burst keeps the tokens that are left,
//! at most the new burst. Only a change of `key` or of the name starts afresh.
//!
//! **At the limits**: 429, gRPC 8, with the exact time until the next token. Beyond `max_keys` see [`OnOverflow`].
//! For every key and every span `t`: admitted ≤ burst + rate·t, under any churn of keys (with `shared` and `deny`).
//! When two requests race for the last token between check and charge, the loser's charges are taken back.
//!
//! **Cost**: about 25 ns without a key, 50 ns with one; no allocation, but for reading a `jwt_claim`.

mod claim;
pub mod headers;
mod key;
mod limiter;
mod spec;
mod validate;

use std::ops::RangeInclusive;

pub use spec::{DEFAULT_MAX_KEYS, Headers, KeyPart, Limit, OnOverflow};

use crate::clock::Nanos;
use crate::filter::{Filter, Occupancy, Pass, Rejection, RuleId};
use crate::policy::{Build, Invalid, Mode, Policy};
use crate::request::RequestView;
use crate::unit::Rate;
use limiter::{Limiter, Taken};

/// The most limits in one list.
pub const MAX_LIMITS: usize = 8;

/// The most parts of one key.
pub const MAX_KEY_PARTS: usize = 4;

/// How many keys a limit may be told to remember.
pub const MAX_KEYS: RangeInclusive<u32> = 1..=1_000_000;

/// The longest wait that is not better answered by a refusal.
pub const MAX_PACING: std::time::Duration = std::time::Duration::from_secs(10);

/// Limits that decide together.
struct RateLimits {
    limits: Box<[Limiter]>,
}

impl Policy for Vec<Limit> {
    const NAME: &'static str = "rate_limits";

    fn example() -> Self {
        let key = vec![KeyPart::Header("x-tenant".into())];
        let global = Limit { burst: Some(5000), ..Limit::new("global", Rate::per_second(5000)) };
        let tenant = Limit { burst: Some(200), key, ..Limit::new("per-tenant", Rate::per_second(100)) };
        vec![global, tenant]
    }

    fn validate(&self, found: &mut Vec<Invalid>) {
        validate::list(self, found);
    }

    fn build(&self, build: &mut Build<'_>) {
        // Those that enforce are charged together; one in shadow must not change what the others decide.
        let enforced: Vec<_> = self.iter().filter(|limit| limit.mode == Mode::Enforce).collect();
        for together in enforced.chunks(MAX_LIMITS) {
            let limits = together.iter().map(|limit| Limiter::build(limit, build)).collect();
            build.mount(Mode::Enforce, Box::new(RateLimits { limits }));
        }
        for limit in self.iter().filter(|limit| limit.mode == Mode::Shadow) {
            let limits = Box::new([Limiter::build(limit, build)]);
            build.mount(Mode::Shadow, Box::new(RateLimits { limits }));
        }
    }
}

impl Filter for RateLimits {
    fn admit(&self, request: &RequestView<'_>, now: Nanos) -> Result<Pass, Rejection> {
        let mut pass = Pass::default();
        if let [only] = &*self.limits {
            let taken = only.take(only.hash(request), now)?;
            only.note(&taken, now, &mut pass);
            return Ok(pass);
        }
        let hashes = self.check(request, now)?;
        for (limit, taken) in self.limits.iter().zip(self.charge(&hashes, now)?.iter()) {
            limit.note(taken, now, &mut pass);
        }
        Ok(pass)
    }

    fn peek(&self, request: &RequestView<'_>, now: Nanos) -> Result<(), Rejection> {
        self.check(request, now).map(|_| ())
    }

    fn settles(&self) -> bool {
        false
    }

    fn occupancy(&self, rule: RuleId) -> Option<Occupancy> {
        self.limits.iter().find(|limit| limit.rule() == rule).and_then(Limiter::occupancy)
    }
}

impl RateLimits {
    /// Whether all would let the request pass, and its key for each.
    fn check(&self, request: &RequestView<'_>, now: Nanos) -> Result<[u64; MAX_LIMITS], Rejection> {
        let mut hashes = [0; MAX_LIMITS];
        for (limit, hash) in self.limits.iter().zip(&mut hashes) {
            *hash = limit.hash(request);
            limit.peek(*hash, now)?;
        }
        Ok(hashes)
    }

    /// Charges all, or none and says who would not.
    fn charge(&self, hashes: &[u64; MAX_LIMITS], now: Nanos) -> Result<[Taken; MAX_LIMITS], Rejection> {
        let mut all = [Taken::default(); MAX_LIMITS];
        for (done, ((limit, hash), taken)) in self.limits.iter().zip(hashes).zip(&mut all).enumerate() {
            match limit.take(*hash, now) {
                Ok(charged) => *taken = charged,
                Err(rejection) => {
                    for ((limit, hash), taken) in self.limits.iter().zip(hashes).zip(&all).take(done) {
                        limit.untake(*hash, taken);
                    }
                    return Err(rejection);
                }
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
