//! Which numbers belong to which labels, and the bound on how many there may be.
//!
//! A set of labels is a [`Key`] of 16 bytes: numbers of names, and codes of closed lists. Each worker keeps its own
//! map from keys to its own cells ([`Local`]); a lookup there is all that a finished request costs. On the first
//! use of a key the worker asks the [`Family`], which every worker and the exporter share, for a cell. Series are
//! thus made by use, not by policy: ten thousand routes cost nothing until they are called, and a reload that keeps
//! a name keeps its numbers, since nothing here knows about reloads.
//!
//! A family has at most [`CAP`] series, as in OpenTelemetry's SDKs. What comes later is counted in one overflow
//! series for each direction and outcome, labelled `otel_metric_overflow="true"`, so that sums stay right.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;
use std::collections::HashMap;

use super::cell::{Count, Histogram};
use super::names::NameId;
use super::record::{Direction, Method, Outcome, Proto, Record};

/// Series a family may have, not counting its overflow.
pub(super) const CAP: usize = 2_000;

/// Keys a worker remembers; beyond them it uses the overflow at once. Leaves room for the overflow keys themselves.
const LOCAL_CAP: usize = 4 * CAP;

/// What a cell counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Kind {
    /// A request of a caller.
    Request,
    /// An attempt at a dependency.
    Attempt,
}

/// A set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) route: NameId,
    pub(super) dependency: NameId,
    pub(super) status: u16,
    pub(super) kind: Kind,
    pub(super) direction: Direction,
    pub(super) method: Method,
    pub(super) proto: Proto,
    /// Code of the outcome.
    pub(super) outcome: u8,
}

impl Key {
    #[inline]
    pub(super) const fn of(record: &Record) -> Self {
        Self {
            route: record.route,
            dependency: record.dependency,
            status: record.status,
            kind: Kind::Request,
            direction: record.direction,
            method: record.method,
            proto: record.proto,
            outcome: record.outcome as u8,
        }
    }

    /// The key without what only durations are labelled with.
    pub(super) const fn counted(self) -> Self {
        Self { status: 0, method: Method::Other, proto: Proto::Other, ..self }
    }

    /// The key of all that found no room.
    pub(super) const fn overflow(self) -> Self {
        Self { route: NameId::OVERFLOW, dependency: NameId::NONE, ..self.counted() }
    }

    pub(super) fn is_overflow(self) -> bool {
        self.route == NameId::OVERFLOW
    }

    pub(super) fn outcome(self) -> Option<Outcome> {
        Outcome::ALL.iter().copied().find(|outcome| *outcome as u8 == self.outcome)
    }

    pub(super) fn words(self) -> (u64, u64) {
        let names = u64::from(self.route.0) << 32 | u64::from(self.dependency.0);
        let codes = u64::from(self.status) << 40
            | u64::from(self.kind as u8) << 32
            | u64::from(self.direction as u8) << 24
            | u64::from(self.method as u8) << 16
            | u64::from(self.proto as u8) << 8
            | u64::from(self.outcome);
        (names, codes)
    }
}

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (names, codes) = self.words();
        state.write_u64(names);
        state.write_u64(codes);
    }
}

/// A multiply-and-fold hash. Keys are numbers of our own and the maps are bounded, so there is nothing to attack.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product =
            u128::from(self.0 ^ word ^ 0x9E37_79B9_7F4A_7C15) * u128::from(0xD6E8_FEB8_6659_FD93_u64);
        let bytes = (product ^ (product >> 64)).to_le_bytes();
        let [a, b, c, d, e, f, g, h, ..] = bytes;
        self.0 = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    }
}

/// For each worker its cell, once it has one.
type Shards<C> = Box<[Option<Arc<C>>]>;

type Map<V> = HashMap<Key, V, BuildHasherDefault<Fold>>;

/// All series of one metric: for each key, a cell for each worker that used it.
#[derive(Debug)]
pub(super) struct Family<C> {
    cells: Mutex<Map<Shards<C>>>,
    workers: usize,
    cap: usize,
}

impl<C: Default> Family<C> {
    pub(super) fn new(workers: usize, cap: usize) -> Self {
        Self { cells: Mutex::new(Map::default()), workers, cap }
    }

    /// The cell of `worker` for `key`, or for its overflow if the family is full.
    fn cell(&self, worker: usize, key: Key) -> Arc<C> {
        let mut cells = self.cells.lock();
        let full = cells.len() >= self.cap && !cells.contains_key(&key);
        let key = if full { key.overflow() } else { key };
        let shards = cells.entry(key).or_insert_with(|| vec![const { None }; self.workers].into());
        match shards.get_mut(worker) {
            Some(shard) => Arc::clone(shard.get_or_insert_with(Arc::default)),
            // No such worker: its counts go nowhere. `Telemetry::worker` never makes one.
            None => Arc::default(),
        }
    }

    /// Every key with its cells. The lock is held only to copy pointers, so a worker that meets a new key at this
    /// moment waits for microseconds.
    pub(super) fn snapshot(&self) -> Vec<(Key, Vec<Arc<C>>)> {
        let cells = self.cells.lock();
        cells.iter().map(|(key, shards)| (*key, shards.iter().flatten().map(Arc::clone).collect())).collect()
    }
}

/// The metrics that requests and attempts are counted in.
#[derive(Debug)]
pub(super) struct Families {
    /// `outrigger_requests_total`
    pub(super) requests: Family<Count>,
    /// `http_server_request_duration_seconds`
    pub(super) durations: Family<Histogram>,
    /// `outrigger_attempts_total`
    pub(super) attempts: Family<Count>,
    /// `http_client_request_duration_seconds`
    pub(super) attempt_durations: Family<Histogram>,
}

impl Families {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            requests: Family::new(workers, CAP),
            durations: Family::new(workers, CAP),
            attempts: Family::new(workers, CAP),
            attempt_durations: Family::new(workers, CAP),
        }
    }

    fn cells(&self, worker: usize, key: Key) -> Cells {
        let counted = key.counted();
        match key.kind {
            Kind::Request => Cells {
                count: self.requests.cell(worker, counted),
                duration: Some(self.durations.cell(worker, key)),
            },
            Kind::Attempt => Cells {
                count: self.attempts.cell(worker, counted),
                duration: Some(self.attempt_durations.cell(worker, key)),
            },
        }
    }
}

/// Where one worker counts one key.
#[derive(Debug)]
struct Cells {
    count: Arc<Count>,
    duration: Option<Arc<Histogram>>,
}

impl Cells {
    #[inline]
    fn count(&self, us: u32) {
        self.count.add(1);
        if let Some(duration) = &self.duration {
            duration.observe(us);
        }
    }
}

/// One worker's way to its cells.
#[derive(Debug)]
pub(super) struct Local {
    worker: usize,
    families: Arc<Families>,
    cells: Map<Cells>,
}

impl Local {
    pub(super) fn new(worker: usize, families: Arc<Families>) -> Self {
        Self { worker, families, cells: Map::default() }
    }

    /// Counts one happening that took `us`. Allocates only on the first use of a key.
    pub(super) fn count(&mut self, key: Key, us: u32) {
        if let Some(cells) = self.cells.get(&key) {
            return cells.count(us);
        }
        let key = if self.cells.len() >= LOCAL_CAP { key.overflow() } else { key };
        let Self { worker, families, cells } = self;
        cells.entry(key).or_insert_with(|| families.cells(*worker, key)).count(us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Names, RouteSeries, RuleSet};

    fn key(names: &Names, route: &str, outcome: Outcome) -> Key {
        let series = RouteSeries {
            direction: Direction::Inbound,
            route: names.intern(route),
            dependency: NameId::NONE,
            rules: RuleSet::default(),
        };
        Key::of(&Record { outcome, ..series.record(0, 1) })
    }

    fn totals(families: &Families) -> (u64, u64) {
        let (mut own, mut overflow) = (0, 0);
        for (key, cells) in families.requests.snapshot() {
            let sum: u64 = cells.iter().map(|cell| cell.get()).sum();
            if key.is_overflow() { overflow += sum } else { own += sum }
        }
        (own, overflow)
    }

    #[test]
    fn what_finds_no_room_is_counted_in_the_overflow_of_its_outcome() {
        let (names, families) = (Names::default(), Arc::new(Families::new(1)));
        let mut local = Local::new(0, Arc::clone(&families));
        for route in 0..10_000 {
            let name = format!("route-{route}");
            local.count(key(&names, &name, Outcome::Ok), 1);
            local.count(key(&names, &name, Outcome::RateLimited), 1);
        }
        assert_eq!(totals(&families), (2_000, 18_000));
        assert_eq!(families.requests.snapshot().len(), CAP + 2);
        assert_eq!(families.durations.snapshot().len(), CAP + 2);
        assert!(local.cells.len() <= LOCAL_CAP + 2);
    }

    #[test]
    fn a_worker_that_comes_back_goes_on_counting() {
        let (names, families) = (Names::default(), Arc::new(Families::new(2)));
        for _ in 0..2 {
            let mut local = Local::new(1, Arc::clone(&families));
            local.count(key(&names, "orders", Outcome::Ok), 1);
        }
        assert_eq!(totals(&families), (2, 0));
        assert_eq!(families.requests.snapshot()[0].1.len(), 1);
    }

    #[test]
    fn keys_that_differ_in_one_field_hash_apart() {
        use std::hash::BuildHasher;
        let names = Names::default();
        let base = key(&names, "a", Outcome::Ok);
        let others = [
            key(&names, "b", Outcome::Ok),
            key(&names, "a", Outcome::RateLimited),
            Key { status: 1, ..base },
            Key { method: Method::Get, ..base },
            Key { proto: Proto::H2, ..base },
            Key { direction: Direction::Outbound, ..base },
            Key { dependency: base.route, ..base },
        ];
        let hash = |key| BuildHasherDefault::<Fold>::default().hash_one(key);
        for other in others {
            assert_ne!(hash(base), hash(other), "{other:?}");
        }
    }
}
