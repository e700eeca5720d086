//! What a breaker counts: calls in flight by their start, calls that ended by their end, failures in a row.
//!
//! All of it is atomic and in units of its own (ticks, not windows), so it is counted without a lock and read under
//! any knobs. Each change of state puts up a *fence*: what began or ended before it is not read again. A call that
//! belongs to an earlier state is not recorded at all; whoever reads the fence before checking that cannot slip
//! past a change in between, because a change is published before its fence.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::spec::{LONGEST_WINDOW, Spec};
use crate::clock::Nanos;
use crate::meter::ticks::{TICK, Tick, Ticks, ticks_of};

/// Where few calls come, this is how few is measured in.
const MINUTE: Duration = LONGEST_WINDOW;
/// Enough for the longest window.
const ENDED_TICKS: usize = 256;
/// Enough for the longest threshold, and to remember for as long again who hangs.
const STARTED_TICKS: usize = 512;
const _: () = assert!(ENDED_TICKS as u128 > LONGEST_WINDOW.as_nanos() / TICK.as_nanos());
const _: () = assert!(STARTED_TICKS as u128 >= 2 * LONGEST_WINDOW.as_nanos() / TICK.as_nanos());

/// The counts.
pub(super) struct Window {
    fence: AtomicU32,
    in_flight: AtomicU64,
    started: Ticks,
    total: Ticks,
    failed: Ticks,
    slow: Ticks,
    unreachable_run: AtomicU32,
    failure_run: AtomicU32,
}

/// What the counts say at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) total: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
    /// In flight for longer than the slow threshold.
    pub(super) stalled: u64,
    /// Ended within the last slow threshold.
    pub(super) recent: u64,
    pub(super) recent_slow: u64,
    pub(super) unreachable_run: u32,
    pub(super) failure_run: u32,
    /// Fewer calls in a minute than a ratio is judged on.
    pub(super) is_quiet: bool,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            fence: AtomicU32::new(0),
            in_flight: AtomicU64::new(0),
            started: Ticks::new(STARTED_TICKS),
            total: Ticks::new(ENDED_TICKS),
            failed: Ticks::new(ENDED_TICKS),
            slow: Ticks::new(ENDED_TICKS),
            unreachable_run: AtomicU32::new(0),
            failure_run: AtomicU32::new(0),
        }
    }

    /// The fence, to be read before the state that it is used with.
    #[inline]
    pub(super) fn fence(&self) -> Tick {
        Tick(self.fence.load(Ordering::Acquire))
    }

    /// Nothing from before now is read again. Called after the change of state is published, under its lock.
    pub(super) fn forget(&self, now: Nanos) {
        let fence = Tick::at(now).max(self.fence().next());
        self.fence.store(fence.0, Ordering::Release);
        self.unreachable_run.store(0, Ordering::Relaxed);
        self.failure_run.store(0, Ordering::Relaxed);
    }

    /// A call begins; its tick is what it is counted under until [`Window::begun`].
    #[inline]
    pub(super) fn begin(&self, fence: Tick, now: Nanos) -> Tick {
        let tick = Tick::at(now).max(fence.next());
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.started.add(tick);
        tick
    }

    /// It no longer waits for its answer.
    #[inline]
    pub(super) fn begun(&self, tick: Tick) {
        self.started.take(tick);
    }

    /// It is over.
    #[inline]
    pub(super) fn over(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Records a good end.
    #[inline]
    pub(super) fn good(&self, fence: Tick, now: Nanos, slow: bool) {
        self.ended(fence, now, slow);
        for run in [&self.unreachable_run, &self.failure_run] {
            if run.load(Ordering::Relaxed) != 0 {
                run.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Records a failure.
    pub(super) fn bad(&self, fence: Tick, now: Nanos, connect: bool, slow: bool) {
        self.failed.add(self.ended(fence, now, slow));
        // A lock-free `max` against wrapping would cost more than it is worth: runs trip long before.
        self.failure_run.fetch_add(1, Ordering::Relaxed);
        if connect {
            self.unreachable_run.fetch_add(1, Ordering::Relaxed);
        } else {
            self.unreachable_run.store(0, Ordering::Relaxed);
        }
    }

    #[inline]
    fn ended(&self, fence: Tick, now: Nanos, slow: bool) -> Tick {
        let tick = Tick::at(now).max(fence.next());
        self.total.add(tick);
        if slow {
            self.slow.add(tick);
        }
        tick
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Reads all of it.
    pub(super) fn tally(&self, now: Nanos, spec: &Spec, threshold: Duration) -> Tally {
        let fence = self.fence();
        let last = Tick::at(now).max(fence.next());
        let past = |span| last.back(ticks_of(span)).max(fence);
        let (window, recent) = (past(spec.window.0), past(threshold));
        let failure_run = self.failure_run.load(Ordering::Relaxed);
        Tally {
            total: self.total.sum(window, last),
            failed: self.failed.sum(window, last),
            slow: self.slow.sum(window, last),
            stalled: self.started.sum(fence, stalled_until(now, threshold)),
            recent: self.total.sum(recent, last),
            recent_slow: self.slow.sum(recent, last),
            unreachable_run: self.unreachable_run.load(Ordering::Relaxed),
            failure_run,
            // A minute is long to sum; asked only if the answer matters.
            is_quiet: failure_run >= spec.consecutive
                && self.total.sum(past(MINUTE), last) < u64::from(spec.min_requests),
        }
    }
}

/// The last tick of which every call is older than the threshold.
fn stalled_until(now: Nanos, threshold: Duration) -> Tick {
    let threshold = u64::try_from(threshold.as_nanos()).unwrap_or(u64::MAX);
    now.0.checked_sub(threshold).map_or(Tick(0), |then| Tick::at(Nanos(then)).back(1))
}
