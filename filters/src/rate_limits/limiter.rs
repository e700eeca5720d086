//! One limit, ready to decide: knobs of one snapshot, and the meter that outlives it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::key::Key;
use super::{Headers, Limit};
use crate::clock::Nanos;
use crate::filter::{Occupancy, Pass, Quota, Rejection, RuleId};
use crate::meter::gcra::{At, Charge, MAX_BURST, Pace, Segment, TOKEN, nanos, uncharge};
use crate::meter::table::{Place, Refused, Room, Table};
use crate::outcome::Outcome;
use crate::policy::{Build, Policy};
use crate::request::RequestView;
use crate::state::State;

/// What a request costs.
const COST: u64 = TOKEN;

/// The knobs.
pub(super) struct Limiter {
    rule: RuleId,
    key: Option<Key>,
    sequence: u64,
    pace: Pace,
    max_wait: u64,
    room: Room,
    headers: Headers,
    /// What callers may be told, with nothing left.
    facts: Quota,
    meter: Arc<Meter>,
    /// The level under these knobs, known from the first request that meets them.
    segment: OnceLock<Segment>,
}

/// The meter: what is spent, and the newest pace it is spent at.
struct Meter {
    newest: Mutex<Option<Segment>>,
    buckets: Buckets,
}

enum Buckets {
    One(AtomicU64),
    Keyed(Table),
}

/// What a request was charged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    charge: Charge,
    place: Place,
}

impl Default for Taken {
    fn default() -> Self {
        Self { charge: Charge { emptied: 0, wait: 0 }, place: Place::Nowhere }
    }
}

impl Limiter {
    pub(super) fn build(limit: &Limit, build: &mut Build<'_>) -> Self {
        let filter = <Vec<Limit> as Policy>::NAME;
        let rule = build.rule(filter, &limit.name, limit.mode);
        let max_keys = usize::try_from(limit.max_keys).unwrap_or(usize::MAX).max(1);
        let key = Key::compile(&limit.key, build.seed());
        let make = || Meter::new(key.is_some().then_some(max_keys));
        let meter = build.state(filter, &limit.name, limit.mode, format!("{:?}", limit.key), make);
        if let Buckets::Keyed(table) = &meter.buckets {
            table.provide_for(max_keys);
        }
        let burst = limit.burst().min(MAX_BURST);
        Self {
            rule,
            key,
            sequence: build.sequence(),
            pace: Pace::new(limit.rate, burst),
            max_wait: nanos(limit.pacing.0),
            room: Room { max_keys, on_overflow: limit.on_overflow },
            headers: limit.headers,
            facts: Quota { rule, limit: word(burst), window: window(limit, burst), remaining: 0, reset: 0 },
            meter,
            segment: OnceLock::new(),
        }
    }

    pub(super) const fn rule(&self) -> RuleId {
        self.rule
    }

    /// The hash of the request's key; zero where there is none.
    #[inline]
    pub(super) fn hash(&self, request: &RequestView<'_>) -> u64 {
        self.key.as_ref().map_or(0, |key| key.hash(request))
    }

    /// Whether the request is within the limit; charges nothing.
    #[inline]
    pub(super) fn peek(&self, hash: u64, now: Nanos) -> Result<(), Rejection> {
        let at = self.at(now);
        let peeked = match &self.meter.buckets {
            Buckets::One(emptied) => at
                .charge(emptied.load(Ordering::Relaxed), COST, self.max_wait)
                .map_or_else(|wait| Err(Refused::Empty(wait)), |_| Ok(())),
            Buckets::Keyed(table) => table.peek(hash, &at, COST, self.max_wait),
        };
        peeked.map_err(|refused| self.rejection(refused))
    }

    /// Charges the request.
    #[inline]
    pub(super) fn take(&self, hash: u64, now: Nanos) -> Result<Taken, Rejection> {
        let at = self.at(now);
        let taken = match &self.meter.buckets {
            Buckets::One(emptied) => take_one(emptied, &at, self.max_wait),
            Buckets::Keyed(table) => table.take(hash, &at, COST, self.max_wait, self.room),
        };
        taken.map(|(charge, place)| Taken { charge, place }).map_err(|refused| self.rejection(refused))
    }

    /// Takes a charge back.
    pub(super) fn untake(&self, hash: u64, taken: &Taken) {
        match &self.meter.buckets {
            Buckets::One(emptied) => {
                let back = |now| Some(uncharge(now, taken.charge, COST));
                let _ = emptied.fetch_update(Ordering::Relaxed, Ordering::Relaxed, back);
            }
            Buckets::Keyed(table) => table.untake(hash, taken.charge, taken.place, COST),
        }
    }

    /// Adds what this charge means to what the request is told.
    #[inline]
    pub(super) fn note(&self, taken: &Taken, now: Nanos, pass: &mut Pass) {
        if taken.charge.wait > 0 {
            pass.queued |= self.rule.bit();
            pass.not_before = pass.not_before.max(Nanos(now.0.saturating_add(taken.charge.wait)));
        }
        if taken.place != Place::Own {
            pass.overflow |= self.rule.bit();
        }
        if self.headers == Headers::Always {
            let quota = self.quota_after(taken, now);
            if pass.quota.is_none_or(|nearest| quota.remaining < nearest.remaining) {
                pass.quota = Some(quota);
            }
        }
    }

    pub(super) fn occupancy(&self) -> Option<Occupancy> {
        match &self.meter.buckets {
            Buckets::One(_) => None,
            Buckets::Keyed(table) => Some(Occupancy { used: table.keys(), capacity: self.room.max_keys }),
        }
    }

    #[inline]
    fn at(&self, now: Nanos) -> At {
        let segment = self.segment.get_or_init(|| self.meter.activate(self.sequence, self.pace, now.0));
        segment.at(now.0)
    }

    fn quota_after(&self, taken: &Taken, now: Nanos) -> Quota {
        let at = self.at(now);
        let remaining = word(at.tokens_left(taken.charge.emptied));
        Quota { remaining, reset: whole_seconds(at.nanos_until_full(taken.charge.emptied)), ..self.facts }
    }

    #[cold]
    fn rejection(&self, refused: Refused) -> Rejection {
        let (reason, wait) = match refused {
            Refused::Empty(wait) => ("over_limit", wait),
            Refused::NoRoom => ("too_many_keys", 1_000_000_000),
        };
        let quota = Quota { reset: whole_seconds(wait), ..self.facts };
        Rejection {
            filter: <Vec<Limit> as Policy>::NAME,
            rule: self.rule,
            reason,
            status: 429,
            error: "http_request_denied",
            outcome: Outcome::RateLimited,
            retry_after: Duration::from_nanos(wait),
            quota: (self.headers != Headers::Off).then_some(quota),
        }
    }
}

impl Meter {
    /// For everybody, or for so many keys.
    fn new(max_keys: Option<usize>) -> Self {
        let buckets = max_keys
            .map_or_else(|| Buckets::One(AtomicU64::new(0)), |max_keys| Buckets::Keyed(Table::new(max_keys)));
        Self { newest: Mutex::new(None), buckets }
    }

    /// The level for a snapshot that meets its first request.
    #[cold]
    fn activate(&self, sequence: u64, pace: Pace, now: u64) -> Segment {
        let mut newest = self.newest.lock();
        let first = || Segment::first(sequence, pace, now);
        let segment = newest.map_or_else(first, |newest| newest.followed_by(sequence, pace, now));
        *newest = Some(segment);
        segment
    }
}

impl State for Meter {
    fn sweep(&self, now: Nanos) {
        let Some(newest) = *self.newest.lock() else { return };
        let at = newest.at(now.0);
        match &self.buckets {
            Buckets::One(emptied) => {
                let refresh = |emptied| at.is_idle(emptied).then_some(at.untouched());
                let _ = emptied.fetch_update(Ordering::Relaxed, Ordering::Relaxed, refresh);
            }
            Buckets::Keyed(table) => table.sweep(&at),
        }
    }
}

#[inline]
fn take_one(bucket: &AtomicU64, at: &At, max_wait: u64) -> Result<(Charge, Place), Refused> {
    let mut emptied = bucket.load(Ordering::Relaxed);
    loop {
        let charge = at.charge(emptied, COST, max_wait).map_err(Refused::Empty)?;
        // Relaxed: the word is all there is, nothing else is published through it.
        match bucket.compare_exchange_weak(emptied, charge.emptied, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok((charge, Place::Own)),
            Err(other) => emptied = other,
        }
    }
}

/// In how many seconds the burst is granted anew.
fn window(limit: &Limit, burst: u64) -> u32 {
    let nanos = u128::from(burst).saturating_mul(limit.rate.per.as_nanos());
    let nanos = nanos / u128::from(limit.rate.count.max(1));
    u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX).max(1)
}

fn whole_seconds(nanos: u64) -> u32 {
    word(nanos.div_ceil(1_000_000_000))
}

fn word(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
