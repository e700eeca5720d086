//! The bounds of one dependency under one policy, and what it has taken.

use std::sync::Arc;
use std::time::Duration;

use super::permit::{Permit, Place};
use super::state::State;
use super::{Full, NAME, Reason, Spec};
use crate::policy::Mode;
use crate::state::{StateKey, StateStore};

/// What the whole process may have, and how many dependencies share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Requests in flight.
    pub max_in_flight: u64,
    /// Bytes in buffers.
    pub max_buffered: u64,
    /// Dependencies in the policy. With fewer than two there is nobody to share with.
    pub dependencies: usize,
}

/// The bounds of a dependency: made for each policy, shared by all workers.
#[derive(Debug)]
pub struct Bulkhead {
    pub(super) mode: Mode,
    pub(super) state: Arc<State>,
    pub(super) queue_timeout: Duration,
    pub(super) max_buffered: u64,
    max_in_flight: u64,
    max_queue: u64,
    /// Whether it is the share that bounds the calls in flight.
    by_share: bool,
}

/// How much is taken of what there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Occupied {
    /// Calls in flight.
    pub in_flight: u64,
    /// How many there may be, the share considered.
    pub limit: u64,
    /// Calls waiting.
    pub queued: u64,
    /// How many may.
    pub max_queue: u64,
    /// Bytes in buffers.
    pub buffered: u64,
    /// How many there may be.
    pub max_buffered: u64,
    /// Turned away since the process started, by reason.
    pub refused: [(Reason, u64); Reason::ALL.len()],
    /// The fullest of calls in flight and bytes, 0 to 1; more after a limit was lowered.
    pub saturation: f64,
}

impl Bulkhead {
    /// Compiles a block. `owner` is the dependency. Pure but for finding the state again.
    #[must_use]
    pub fn build(spec: &Spec, owner: &str, process: &Process, store: &StateStore) -> Arc<Self> {
        let key = StateKey {
            owner: owner.to_owned(),
            filter: NAME,
            name: String::new(),
            mode: spec.mode,
            shape: String::new(),
        };
        let share = |bound: u64| match process.dependencies {
            0 | 1 => bound,
            _ => spec.max_share.of(bound).max(1),
        };
        let written = u64::from(spec.max_in_flight.get());
        let share_in_flight = share(process.max_in_flight);
        Arc::new(Self {
            mode: spec.mode,
            state: store.adopt(key, State::default),
            queue_timeout: spec.queue_timeout.0,
            max_buffered: spec.max_buffered.0.min(share(process.max_buffered)),
            max_in_flight: written.min(share_in_flight),
            max_queue: u64::from(spec.max_queue),
            by_share: share_in_flight < written,
        })
    }

    /// Whether it decides, only counts, or is not there.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// How long a call may wait, for its turn and for a connection together.
    #[must_use]
    pub const fn queue_timeout(&self) -> Duration {
        self.queue_timeout
    }

    /// Leave to call now, past any line: for who has a [`super::Gate`], that asks here.
    ///
    /// # Errors
    /// If as many are in flight as may be.
    pub fn try_enter(&self) -> Result<Permit, Full> {
        if let Some(permit) = self.room() {
            return Ok(permit);
        }
        let full = self.state.refuse(self.bound());
        if self.mode == Mode::Shadow { Ok(Permit::nothing()) } else { Err(full) }
    }

    /// How much is taken of what there is.
    #[must_use]
    pub fn occupied(&self) -> Occupied {
        let (in_flight, buffered) = (self.state.in_flight.now(), self.state.buffered.now());
        let part = |used: u64, of: u64| if of == 0 { 1.0 } else { used as f64 / of as f64 };
        Occupied {
            in_flight,
            limit: self.max_in_flight,
            queued: self.state.queued.now(),
            max_queue: self.max_queue,
            buffered,
            max_buffered: self.max_buffered,
            refused: Reason::ALL.map(|reason| (reason, self.state.refused(reason))),
            saturation: part(in_flight, self.max_in_flight).max(part(buffered, self.max_buffered)),
        }
    }

    /// A permit, if there is one; refusals are the caller's to count.
    #[inline]
    pub(super) fn room(&self) -> Option<Permit> {
        if self.mode == Mode::Disabled {
            return Some(Permit::nothing());
        }
        self.state.in_flight.raise(1, self.max_in_flight).then(|| Permit::of(Arc::clone(&self.state)))
    }

    /// A place in the line, if there is one.
    pub(super) fn place(&self) -> Option<Place> {
        self.state.queued.raise(1, self.max_queue).then(|| Place::of(Arc::clone(&self.state)))
    }

    /// Whether anybody may wait.
    pub(super) const fn has_line(&self) -> bool {
        self.max_queue > 0
    }

    /// Which bound it is that holds calls back.
    pub(super) const fn bound(&self) -> Reason {
        if self.by_share { Reason::Share } else { Reason::InFlight }
    }
}
