//! What outlives a snapshot: counts, state, and the atomics by which most calls pass without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::Knobs;
use super::machine::{Machine, Role};
use super::states::{Forced, State};
use super::window::Window;
use crate::clock::Nanos;
use crate::evidence::Verdict;
use crate::meter::ticks::Tick;

/// The longest wait an upstream may ask for.
const LONGEST_FLOOR: Duration = Duration::from_secs(60);

/// One owner's breaker.
pub(super) struct Meter {
    /// The state and the number of the last change, as last published by whoever held the lock.
    word: AtomicU64,
    /// From this moment on somebody must look.
    look_at: AtomicU64,
    /// Open: when probes may begin.
    until: AtomicU64,
    /// The latest moment the upstream named with `Retry-After`.
    floor: AtomicU64,
    /// Whether successes are to be told to the machine.
    healing: AtomicBool,
    pub(super) window: Window,
    machine: Mutex<Machine>,
    pub(super) refused: AtomicU64,
    pub(super) probes: ProbeCounts,
}

/// How probes ended.
#[derive(Default)]
pub(super) struct ProbeCounts {
    pub(super) succeeded: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) neutral: AtomicU64,
}

/// A state as it was published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) number: u64,
    pub(super) state: State,
}

/// What a call that is let through is known by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) tick: Tick,
    pub(super) role: Role,
}

impl crate::state::State for Meter {}

impl Meter {
    pub(super) fn new(knobs: Arc<Knobs>, seed: u64) -> Self {
        Self {
            word: AtomicU64::new(0),
            look_at: AtomicU64::new(0),
            until: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            healing: AtomicBool::new(false),
            window: Window::new(),
            machine: Mutex::new(Machine::new(knobs, seed)),
            refused: AtomicU64::new(0),
            probes: ProbeCounts::default(),
        }
    }

    /// The state at this moment, and the fence to count with under it.
    #[inline]
    pub(super) fn current(&self, knobs: &Arc<Knobs>, now: Nanos) -> (Tick, Seen) {
        if now.0 >= self.look_at.load(Ordering::Relaxed) {
            self.look(knobs, now);
        }
        self.seen()
    }

    /// The fence first: see [`Window`].
    #[inline]
    fn seen(&self) -> (Tick, Seen) {
        let fence = self.window.fence();
        let word = self.word.load(Ordering::Acquire);
        (fence, Seen { number: word >> 3, state: State::of(word & 7) })
    }

    /// The machine, under the newest knobs that have met a call.
    pub(super) fn lock(&self, knobs: &Arc<Knobs>) -> MutexGuard<'_, Machine> {
        let mut machine = self.machine.lock();
        if knobs.sequence > machine.knobs.sequence {
            machine.knobs = Arc::clone(knobs);
        }
        machine
    }

    #[cold]
    fn look(&self, knobs: &Arc<Knobs>, now: Nanos) {
        let mut machine = self.lock(knobs);
        // Another may have looked while this one waited for the lock.
        if now.0 >= self.look_at.load(Ordering::Relaxed) {
            self.look_locked(&mut machine, now);
        }
    }

    fn look_locked(&self, machine: &mut Machine, now: Nanos) {
        // Time may have brought several steps; each change sets what the next one reads.
        loop {
            let before = machine.number;
            let tally = |knobs: &Knobs| self.window.tally(now, &knobs.spec, knobs.threshold);
            let expired = machine.look(now, self.floor(), tally);
            self.probes.failed.fetch_add(u64::from(expired), Ordering::Relaxed);
            self.publish(machine, before, now);
            if machine.number == before {
                return;
            }
        }
    }

    /// Tells everybody: what belongs to the change, then the change, then the fence behind it.
    fn publish(&self, machine: &Machine, before: u64, now: Nanos) {
        self.look_at.store(machine.next_look(now).0, Ordering::Relaxed);
        self.healing.store(machine.is_healing(), Ordering::Relaxed);
        if machine.number != before {
            self.until.store(machine.until.0, Ordering::Relaxed);
            let word = machine.number << 3 | u64::from(machine.state.number());
            self.word.store(word, Ordering::Release);
            self.window.forget(now);
        }
    }

    fn floor(&self) -> Nanos {
        Nanos(self.floor.load(Ordering::Relaxed))
    }

    /// Lets a call through, or says for how long not, and in which state.
    #[inline]
    pub(super) fn acquire(
        &self,
        knobs: &Arc<Knobs>,
        now: Nanos,
        draw: u32,
        critical: bool,
    ) -> Result<Entry, (Duration, State)> {
        let (fence, seen) = self.current(knobs, now);
        if matches!(seen.state, State::Closed | State::ForcedClosed) {
            let tick = self.window.begin(fence, now);
            return Ok(Entry { number: seen.number, tick, role: Role::Call });
        }
        if seen.state == State::Open {
            return Err((self.until_probes(now), seen.state));
        }
        self.acquire_locked(knobs, now, draw, critical)
    }

    /// Whether a call may come, in a state in which that is doubtful.
    #[cold]
    pub(super) fn peek(&self, knobs: &Arc<Knobs>, seen: Seen, now: Nanos) -> Result<(), Duration> {
        if seen.state == State::Open { Err(self.until_probes(now)) } else { self.lock(knobs).peek(now) }
    }

    /// Without the lock: an outage is when many ask.
    fn until_probes(&self, now: Nanos) -> Duration {
        Nanos(self.until.load(Ordering::Relaxed)).since(now)
    }

    #[cold]
    fn acquire_locked(
        &self,
        knobs: &Arc<Knobs>,
        now: Nanos,
        draw: u32,
        critical: bool,
    ) -> Result<Entry, (Duration, State)> {
        let mut machine = self.lock(knobs);
        let role = machine.admit(now, draw, critical).map_err(|wait| (wait, machine.state))?;
        self.look_at.fetch_min(machine.next_look(now).0, Ordering::Relaxed);
        let tick = self.window.begin(self.window.fence(), now);
        Ok(Entry { number: machine.number, tick, role })
    }

    /// A call ended with this verdict; it is told on if the call belongs to the present.
    pub(super) fn learn(&self, knobs: &Arc<Knobs>, entry: Entry, verdict: Verdict, now: Nanos) {
        if let Role::Probe(slot) = entry.role {
            return self.learn_from_probe(knobs, entry.number, slot, verdict, now);
        }
        let (fence, seen) = self.seen();
        if seen.number != entry.number {
            return;
        }
        let suspicious = match verdict {
            Verdict::Nothing | Verdict::Throttled => false,
            Verdict::Good { slow } => {
                self.window.good(fence, now, slow);
                slow
            }
            Verdict::Bad { connect, slow } => {
                self.window.bad(fence, now, connect, slow);
                true
            }
        };
        if suspicious {
            self.look_locked(&mut self.lock(knobs), now);
        } else if verdict == (Verdict::Good { slow: false }) && self.healing.load(Ordering::Relaxed) {
            self.heal(knobs, entry.number);
        }
    }

    #[cold]
    fn heal(&self, knobs: &Arc<Knobs>, number: u64) {
        let mut machine = self.lock(knobs);
        if machine.number == number && machine.is_healing() {
            machine.heal();
            self.healing.store(machine.is_healing(), Ordering::Relaxed);
        }
    }

    #[cold]
    fn learn_from_probe(&self, knobs: &Arc<Knobs>, number: u64, slot: u64, verdict: Verdict, now: Nanos) {
        let mut machine = self.lock(knobs);
        if machine.number != number {
            return;
        }
        let good = match verdict {
            Verdict::Nothing => None,
            Verdict::Good { slow } => Some(!slow),
            Verdict::Bad { .. } | Verdict::Throttled => Some(false),
        };
        let (counts, ended) = match good {
            None => (machine.probes.give_back(slot), &self.probes.neutral),
            Some(true) => (machine.judge(slot, true, now, self.floor()), &self.probes.succeeded),
            Some(false) => (machine.judge(slot, false, now, self.floor()), &self.probes.failed),
        };
        ended.fetch_add(u64::from(counts), Ordering::Relaxed);
        self.publish(&machine, number, now);
    }

    /// The upstream named a time before which it wants no more.
    pub(super) fn hear_retry_after(&self, wait: Duration, now: Nanos) {
        self.floor.fetch_max(now.after(wait.min(LONGEST_FLOOR)).0, Ordering::Relaxed);
    }

    pub(super) fn force(&self, knobs: &Arc<Knobs>, forced: Option<Forced>, now: Nanos) {
        let mut machine = self.lock(knobs);
        let before = machine.number;
        machine.force(forced, now);
        self.publish(&machine, before, now);
    }

    pub(super) fn count_refusal(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}
