//! A circuit breaker: stops calling what fails, finds out when it works again, and begins again slowly.
//!
//! **States**: closed → open → half-open → ramp → closed. It opens when in the window too many calls failed or were
//! slow, when connections or (where calls are few) calls fail several times in a row, and when calls *hang*: those in
//! flight for longer than the slow threshold count before they end. Open, it refuses until a time that doubles with
//! each relapse. Half-open, a few probes decide; on the ramp a growing share of the calls passes, a second a step.
//!
//! **Only evidence of the present counts**: a call speaks for the state it was admitted in, so calls that hung when
//! it opened cannot open it again, and what a call means is read from [`crate::evidence`]: refusals of ours and
//! throttling never open it.
//!
//! **State** lives in the store, by owner: a reload changes the knobs and keeps counts, state and probes. New knobs
//! take effect when a call first looks under them. In shadow it has a state of its own and refuses nothing.
//!
//! **Limits**: windows and thresholds of at most a minute, exact to a quarter of a second; calls that hang are noticed
//! half a second after the threshold if somebody looks ([`Breaker::tick`] does where no call does). 10 KiB each.
//!
//! **Cost**: closed, asking and settling are a handful of atomic operations without a lock or an allocation; once in a
//! quarter of a second one caller reads the counts.
//!
//! How the parts relate is told by resilience4j (ring of buckets, slow calls) and Sentinel (slow ratio); counting
//! calls in flight and the ramp are what users of both have asked for.

mod machine;
mod meter;
mod permit;
mod probes;
mod ramp;
mod reason;
mod spec;
mod states;
mod trip;
mod validate;
mod view;
mod window;

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

pub use permit::Permit;
pub use reason::Reason;
pub use spec::{LONGEST_WINDOW, Spec};
pub use states::{Change, Forced, State, Transitions};
pub use view::{Counts, Snapshot};

use crate::clock::Nanos;
use crate::filter::{Rejection, RuleId};
use crate::outcome::Outcome;
use crate::policy::Mode;
use crate::state::{StateKey, StateStore};
use meter::Meter;

/// The knobs of one snapshot.
struct Knobs {
    spec: Spec,
    threshold: Duration,
    sequence: u64,
}

/// One breaker under the knobs of one snapshot, shared by all workers.
pub struct Breaker {
    knobs: Arc<Knobs>,
    meter: Arc<Meter>,
}

impl Spec {
    /// The breaker of `owner` (the dependency or the route on which the block stands, the same through every change),
    /// whose calls take at most `total`. None if it is disabled.
    #[must_use]
    pub fn build(&self, owner: &str, total: Duration, store: &StateStore) -> Option<Arc<Breaker>> {
        if self.mode == Mode::Disabled {
            return None;
        }
        let threshold = self.slow_threshold(total);
        let knobs = Arc::new(Knobs { spec: self.clone(), threshold, sequence: store.next_sequence() });
        let key = StateKey {
            owner: owner.to_owned(),
            filter: Self::NAME,
            name: Self::NAME.to_owned(),
            mode: self.mode,
            shape: String::new(),
        };
        let seed = store.seed().hash_one(owner);
        let meter = store.adopt(key, || Meter::new(Arc::clone(&knobs), seed));
        Some(Arc::new(Breaker { knobs, meter }))
    }
}

impl Breaker {
    /// Whether a call may come at all, before it queues for anything. Takes nothing: ask [`Breaker::acquire`] before
    /// each attempt.
    ///
    /// # Errors
    /// It is open, or half-open with all probes under way.
    #[inline]
    pub fn peek(&self, now: Nanos) -> Result<(), Rejection> {
        let (_, seen) = self.meter.current(&self.knobs, now);
        if matches!(seen.state, State::Closed | State::Ramp | State::ForcedClosed) || self.is_shadow() {
            return Ok(());
        }
        self.meter.peek(&self.knobs, seen, now).map_err(|wait| self.refuse(wait, seen.state))
    }

    /// Lets an attempt through. `draw` decides who is let through on the ramp: the same for a cohort, or random.
    /// `critical` calls come first there.
    ///
    /// # Errors
    /// It is open, all probes are under way, or the ramp's share is taken.
    #[inline]
    pub fn acquire(self: &Arc<Self>, now: Nanos, draw: u32, critical: bool) -> Result<Permit, Rejection> {
        match self.meter.acquire(&self.knobs, now, draw, critical) {
            Ok(entry) => Ok(Permit::new(Arc::clone(self), entry, now)),
            Err((wait, state)) => {
                let rejection = self.refuse(wait, state);
                if self.is_shadow() { Ok(Permit::in_shadow(Arc::clone(self), now)) } else { Err(rejection) }
            }
        }
    }

    /// Looks at the time and the counts where no call does. Call it four times a second or so: hung calls are then
    /// noticed, and states change, also without traffic.
    pub fn tick(&self, now: Nanos) {
        self.meter.current(&self.knobs, now);
    }

    /// Whether it has opened by itself and is not closed again, and enforces that.
    #[must_use]
    pub fn is_tripped(&self, now: Nanos) -> bool {
        let (_, seen) = self.meter.current(&self.knobs, now);
        !self.is_shadow() && matches!(seen.state, State::Open | State::HalfOpen | State::Ramp)
    }

    /// Forces a state whatever is counted, or lets go of it again with `None`. Kept through reloads.
    pub fn force(&self, forced: Option<Forced>, now: Nanos) {
        self.meter.force(&self.knobs, forced, now);
    }

    /// From when a call is slow, and how long a probe may take.
    #[must_use]
    pub fn slow_threshold(&self) -> Duration {
        self.knobs.threshold
    }

    /// Whether it decides or only counts.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.knobs.spec.mode
    }

    fn is_shadow(&self) -> bool {
        self.mode() == Mode::Shadow
    }

    #[cold]
    fn refuse(&self, wait: Duration, state: State) -> Rejection {
        self.meter.count_refusal();
        Rejection {
            filter: Spec::NAME,
            rule: RuleId::default(),
            reason: state.label(),
            status: 503,
            error: "destination_unavailable",
            outcome: Outcome::DestinationUnavailable,
            retry_after: wait,
            quota: None,
        }
    }
}
