//! What calls of the app inherit from the request they are made for, without the app's help.
//!
//! The sidecar sees a request come in and the calls the app makes for it go out; all the app must do is what tracing
//! libraries do anyway: pass `traceparent` on. So while a request is with the app, its trace id leads to its deadline,
//! and to whether it was somebody's retry. A call with the same trace id ends no later, and is not retried by us if a
//! layer above is retrying already.
//!
//! Where several requests of one trace are with the app at once, it is not known which of them a call is for: it gets
//! the loosest deadline, and counts as a retry only if all of them do. Bounded: a request that finds no room is not
//! noted, which is counted, and its calls have the deadlines of their own routes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use outrigger_filters::clock::Nanos;
use parking_lot::Mutex;

/// Traces noted at once, over all shards.
const CAPACITY: usize = 16_384;
/// So that workers do not wait for one another.
const SHARDS: usize = 16;

type TraceId = [u8; 16];

/// What is inherited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heritage {
    pub(crate) deadline: Nanos,
    pub(crate) is_retry: bool,
}

/// The requests that are with the app, by trace. Shared by all workers: a call may go out through another.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    shards: [Mutex<HashMap<TraceId, Noted>>; SHARDS],
    overflow: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    heritage: Heritage,
    requests: usize,
}

impl Lineage {
    /// Notes a request; until what is returned is dropped, calls of its trace inherit from it.
    pub(crate) fn note(self: &Arc<Self>, trace: TraceId, heritage: Heritage) -> Option<Ancestor> {
        let mut shard = self.shard(trace)?.lock();
        let full = shard.len() >= CAPACITY / SHARDS;
        match shard.entry(trace) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.requests = known.requests.saturating_add(1);
                known.heritage.deadline = known.heritage.deadline.max(heritage.deadline);
                known.heritage.is_retry &= heritage.is_retry;
            }
            Entry::Vacant(_) if full => {
                self.overflow.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            Entry::Vacant(place) => {
                place.insert(Noted { heritage, requests: 1 });
            }
        }
        drop(shard);
        Some(Ancestor { lineage: Arc::clone(self), trace })
    }

    /// What a call of this trace inherits, if it is made for a request that is known.
    pub(crate) fn of(&self, trace: TraceId) -> Option<Heritage> {
        self.shard(trace)?.lock().get(&trace).map(|noted| noted.heritage)
    }

    /// Requests that were not noted, for lack of room.
    pub(crate) fn overflow(&self) -> u64 {
        self.overflow.load(Ordering::Relaxed)
    }

    fn shard(&self, trace: TraceId) -> Option<&Mutex<HashMap<TraceId, Noted>>> {
        self.shards.get(usize::from(trace[15]) % SHARDS)
    }
}

/// A request that is with the app.
#[derive(Debug)]
pub(crate) struct Ancestor {
    lineage: Arc<Lineage>,
    trace: TraceId,
}

impl Drop for Ancestor {
    fn drop(&mut self) {
        let Some(shard) = self.lineage.shard(self.trace) else { return };
        if let Entry::Occupied(mut known) = shard.lock().entry(self.trace) {
            let left = known.get().requests.saturating_sub(1);
            known.get_mut().requests = left;
            if left == 0 {
                known.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(deadline: u64) -> Heritage {
        Heritage { deadline: Nanos(deadline), is_retry: false }
    }

    #[test]
    fn a_call_inherits_while_its_request_is_with_the_app() {
        let lineage = Arc::<Lineage>::default();
        let request = lineage.note([1; 16], until(7)).unwrap();
        assert_eq!(lineage.of([1; 16]), Some(until(7)));
        assert_eq!(lineage.of([2; 16]), None);
        drop(request);
        assert_eq!(lineage.of([1; 16]), None);
    }

    #[test]
    fn of_several_requests_of_a_trace_the_loosest_deadline_counts() {
        let lineage = Arc::<Lineage>::default();
        let first = lineage.note([1; 16], Heritage { is_retry: true, ..until(9) }).unwrap();
        assert!(lineage.of([1; 16]).unwrap().is_retry);
        let second = lineage.note([1; 16], until(7)).unwrap();
        assert_eq!(lineage.of([1; 16]), Some(until(9)));
        drop(first);
        assert_eq!(lineage.of([1; 16]), Some(until(9)), "never shortened while calls may be under way");
        drop(second);
        assert_eq!(lineage.of([1; 16]), None);
    }

    #[test]
    fn a_flood_of_traces_is_bounded_and_counted() {
        let lineage = Arc::<Lineage>::default();
        let trace = |n: u128| n.to_be_bytes();
        let held: Vec<_> = (0..40_000).filter_map(|n| lineage.note(trace(n), until(1))).collect();
        assert_eq!((held.len(), lineage.overflow()), (CAPACITY, 40_000 - CAPACITY as u64));
        drop(held);
        assert!(lineage.shards.iter().all(|shard| shard.lock().is_empty()));
    }
}
