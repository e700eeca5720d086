//! A worker's end of the telemetry: the only thing the request path touches.
//!
//! It is not `Sync`, so that what it counts in has one writer by construction, and it is handed out once per
//! worker. An unsampled `ok` request costs one lookup in a small map, a few plain stores and a copy into the ring.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use super::Shared;
use super::access_log::{Detail, Lines};
use super::decisions::Ring;
use super::names::NameId;
use super::names::RuleSet;
use super::record::{Direction, Method, Outcome, Proto, Record};
use super::series::{Key, Kind, Local};

/// Requests begun and not finished, with a single writer.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    inbound: AtomicI64,
    outbound: AtomicI64,
}

impl InFlight {
    fn cell(&self, direction: Direction) -> &AtomicI64 {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    fn add(&self, direction: Direction, change: i64) {
        let cell = self.cell(direction);
        cell.store(cell.load(Relaxed).wrapping_add(change), Relaxed);
    }

    pub(super) fn get(&self, direction: Direction) -> i64 {
        self.cell(direction).load(Relaxed)
    }
}

/// What one worker shares with whoever reads.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) ring: Ring,
    pub(super) in_flight: InFlight,
    pub(super) taken: std::sync::atomic::AtomicBool,
}

/// Names of a route as numbers, resolved when a policy is compiled. Copy it into the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteSeries {
    pub(super) direction: Direction,
    pub(super) route: NameId,
    pub(super) dependency: NameId,
    pub(super) rules: RuleSet,
}

impl RouteSeries {
    /// A record of a request on this route that has not been classified: everything else is for the caller to set.
    #[must_use]
    pub fn record(&self, start_ms: u64, generation: u64) -> Record {
        let mut record = Record { start_ms, generation, direction: self.direction, ..Record::default() };
        self.name(&mut record);
        record
    }

    /// Says in `record` which route it is of; the direction is known already.
    pub fn name(&self, record: &mut Record) {
        record.route = self.route;
        record.dependency = self.dependency;
        record.rules = self.rules;
    }
}

/// The name of a dependency as a number, resolved when a policy is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptSeries {
    pub(super) dependency: NameId,
}

/// One try at a dependency, or at the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its method.
    pub method: Method,
    /// Status received; 0 if none was.
    pub status: u16,
    /// The upstream's protocol.
    pub proto: Proto,
    /// What became of it.
    pub outcome: Outcome,
    /// From the start of the try to the end of the response, in microseconds.
    pub total_us: u32,
}

/// One worker's end; see the module.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    shared: Arc<Shared>,
    local: RefCell<Local>,
    lines: Option<Lines>,
    // `Cell` keeps this type from being `Sync` whatever the fields above become.
    _not_sync: Cell<()>,
}

impl Worker {
    pub(super) fn new(index: usize, shared: Arc<Shared>) -> Self {
        let local = RefCell::new(Local::new(index, Arc::clone(&shared.families)));
        let lines = shared.access_log.lines(index);
        Self { index, shared, local, lines, _not_sync: Cell::new(()) }
    }

    /// Which worker this is, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// A request begins: one more in flight, until [`Worker::finish`].
    pub fn begin(&self, direction: Direction) {
        if let Some(slot) = self.slot() {
            slot.in_flight.add(direction, 1);
        }
    }

    /// A request is over: counts it, keeps its record, and writes its line if one is due. Call it exactly once for
    /// each [`Worker::begin`], on the same worker.
    pub fn finish(&self, record: &Record, detail: &Detail<'_>) {
        self.local.borrow_mut().count(Key::of(record), record.timings.total);
        if let Some(slot) = self.slot() {
            slot.in_flight.add(record.direction, -1);
            slot.ring.push(record, detail.request_id);
        }
        if let Some(lines) = &self.lines {
            lines.write(&self.shared.service, &self.shared.names, record, detail);
        }
    }

    /// A try is over.
    pub fn attempt(&self, series: AttemptSeries, attempt: &Attempt) {
        let key = Key {
            status: attempt.status,
            method: attempt.method,
            proto: attempt.proto,
            ..attempt_key(series, Kind::Attempt, attempt.outcome as u8)
        };
        self.local.borrow_mut().count(key, attempt.total_us);
    }

    fn slot(&self) -> Option<&Slot> {
        self.shared.slots.get(self.index)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(slot) = self.slot() {
            slot.taken.store(false, std::sync::atomic::Ordering::Release);
        }
    }
}

const fn attempt_key(series: AttemptSeries, kind: Kind, outcome: u8) -> Key {
    Key {
        route: NameId::NONE,
        dependency: series.dependency,
        status: 0,
        kind,
        direction: Direction::Outbound,
        method: Method::Other,
        proto: Proto::Other,
        outcome,
    }
}
