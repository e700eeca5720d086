//! The last records, for `GET /decisions`: what happened just now, whether or not it was logged.
//!
//! Each worker has a ring of [`KEPT`] of its own, so that the newest [`KEPT`] of the process are always among
//! them. A slot has its own lock, held for as long as a record takes to copy: a reader makes a worker wait for
//! nanoseconds at most, and only at the one slot it is looking at.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use parking_lot::Mutex;

use super::record::Record;

/// Records kept.
pub const KEPT: usize = 1_000;

/// Bytes of a request id that are kept with its record; a UUID has 36.
const ID_BYTES: usize = 47;

/// A record and the request id it came with.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// The record.
    pub record: Record,
    id: [u8; ID_BYTES],
    id_len: u8,
}

impl Decision {
    #[inline]
    fn set(&mut self, record: &Record, request_id: &[u8]) {
        self.record = *record;
        let len = request_id.len().min(ID_BYTES);
        if let (Some(to), Some(from)) = (self.id.get_mut(..len), request_id.get(..len)) {
            to.copy_from_slice(from);
            self.id_len = len as u8; // at most ID_BYTES
        }
    }

    /// The request id, cut to 47 bytes.
    #[must_use]
    pub fn request_id(&self) -> &[u8] {
        self.id.get(..usize::from(self.id_len)).unwrap_or_default()
    }

    /// When the request ended, in milliseconds since the Unix epoch.
    fn ended_ms(&self) -> u64 {
        self.record.start_ms.saturating_add(u64::from(self.record.timings.total / 1_000))
    }
}

/// The ring of one worker.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Box<[Mutex<Decision>]>,
    /// Records ever pushed; slots beyond it hold nothing yet.
    next: AtomicU64,
}

impl Default for Ring {
    fn default() -> Self {
        let nothing = Decision { record: Record::default(), id: [0; ID_BYTES], id_len: 0 };
        Self { slots: (0..KEPT).map(|_| Mutex::new(nothing)).collect(), next: AtomicU64::new(0) }
    }
}

impl Ring {
    /// Keeps a record in place of the oldest. Only the worker that owns the ring may call it.
    pub(super) fn push(&self, record: &Record, request_id: &[u8]) {
        let next = self.next.load(Relaxed);
        if let Some(slot) = self.slot(next) {
            slot.lock().set(record, request_id);
        }
        // After the slot is filled, so that a reader never counts in one that is not.
        self.next.store(next.wrapping_add(1), Release);
    }

    #[inline]
    fn slot(&self, number: u64) -> Option<&Mutex<Decision>> {
        self.slots.get(usize::try_from(number % KEPT as u64).unwrap_or(0))
    }

    /// The records it holds, newest first.
    fn newest(&self, limit: usize) -> Vec<Decision> {
        let next = self.next.load(Acquire);
        let numbers = (0..next).rev().take(limit.min(KEPT));
        numbers.filter_map(|number| self.slot(number).map(|slot| *slot.lock())).collect()
    }
}

/// The newest `limit` records of all rings, newest first by the time they ended.
pub(super) fn merge<'a>(rings: impl Iterator<Item = &'a Ring>, limit: usize) -> Vec<Decision> {
    let limit = limit.min(KEPT);
    let mut all: Vec<Decision> = rings.flat_map(|ring| ring.newest(limit)).collect();
    // Stable, so that records of one worker that ended in the same millisecond stay in their order.
    all.sort_by_key(|decision| std::cmp::Reverse(decision.ended_ms()));
    all.truncate(limit);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::worker::RouteSeries;
    use crate::telemetry::{Direction, NameId, RuleSet};

    fn record(start_ms: u64) -> Record {
        let (route, dependency, rules) = (NameId::NONE, NameId::NONE, RuleSet::default());
        RouteSeries { direction: Direction::Inbound, route, dependency, rules }.record(start_ms, 1)
    }

    fn starts(decisions: &[Decision]) -> Vec<u64> {
        decisions.iter().map(|decision| decision.record.start_ms).collect()
    }

    #[test]
    fn keeps_the_newest_and_forgets_the_oldest() {
        let ring = Ring::default();
        for at in 0..KEPT as u64 + 5 {
            ring.push(&record(at), b"");
        }
        let all = merge([&ring].into_iter(), usize::MAX);
        assert_eq!((all.len(), starts(&all)[0], starts(&all)[KEPT - 1]), (KEPT, KEPT as u64 + 4, 5));
    }

    #[test]
    fn merges_workers_newest_first() {
        let (a, b) = (Ring::default(), Ring::default());
        for at in [1, 4, 5] {
            a.push(&record(at), b"");
        }
        for at in [2, 3, 6] {
            b.push(&record(at), b"");
        }
        assert_eq!(starts(&merge([&a, &b].into_iter(), 4)), [6, 5, 4, 3]);
    }

    #[test]
    fn cuts_a_request_id_that_is_too_long() {
        let ring = Ring::default();
        ring.push(&record(1), &[b'x'; 100]);
        ring.push(&record(2), b"id");
        let kept = merge([&ring].into_iter(), 2);
        assert_eq!((kept[0].request_id(), kept[1].request_id()), (&b"id"[..], &[b'x'; ID_BYTES][..]));
    }
}
