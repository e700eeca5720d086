//! State that outlives policies.
//!
//! A snapshot of policy holds knobs; what was counted and spent lives here and is only pointed to. It is found
//! by `(owner, filter, name, mode, shape)`: the names an operator wrote, never a position or a content hash, so
//! that reordering and editing keep it. The mode is part of it, so that a rehearsal in shadow never spends what
//! is enforced. The shape is only what changes the layout (such as which parts make a key); limits are knobs and
//! never part of it, so that no change of a limit empties a meter.
//!
//! The store is locked while compiling and sweeping, never on the request path. What no snapshot points to any
//! more is kept for [`LINGER`], so that removing a policy and restoring it is no reset button.

use std::any::Any;
use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Nanos;
use crate::policy::Mode;

/// How long state is kept after the last snapshot that pointed to it is gone.
pub const LINGER: Duration = Duration::from_secs(300);

/// Something a filter remembers.
pub trait State: Any + Send + Sync {
    /// Forgets what no longer matters, such as idle keys. Called now and then, off the request path.
    fn sweep(&self, _now: Nanos) {}
}

/// Whose state it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StateKey {
    /// The route or dependency, with its direction if names could meet: `inbound/create-order`.
    pub owner: String,
    /// The policy's name.
    pub filter: &'static str,
    /// The rule's name.
    pub name: String,
    /// Enforced and rehearsed state are apart.
    pub mode: Mode,
    /// What determines the layout.
    pub shape: String,
}

/// Everything remembered, by name. One for the life of a process.
pub struct StateStore {
    workers: usize,
    seed: RandomState,
    snapshots: AtomicU64,
    held: Mutex<HashMap<StateKey, Held>>,
}

struct Held {
    state: Arc<dyn State>,
    /// When it was first seen without a snapshot pointing to it.
    unused_since: Option<Nanos>,
}

impl StateStore {
    /// Nothing remembered; counters get a shard for each of `workers`.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { workers, seed: RandomState::new(), snapshots: AtomicU64::new(0), held: Mutex::default() }
    }

    /// How many workers count.
    #[must_use]
    pub const fn workers(&self) -> usize {
        self.workers
    }

    /// The secret with which keys are hashed in this process; without it nobody can aim at another's bucket.
    #[must_use]
    pub fn seed(&self) -> RandomState {
        self.seed.clone()
    }

    /// A number greater than all before: which of two snapshots is the newer.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.snapshots.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// The state under `key`: what is remembered, else what `make` makes.
    pub fn adopt<T: State>(&self, key: StateKey, make: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.held.lock();
        if let Some(known) = held.get_mut(&key) {
            let any: Arc<dyn Any + Send + Sync> = Arc::clone(&known.state) as _;
            if let Ok(state) = any.downcast::<T>() {
                known.unused_since = None;
                return state;
            }
        }
        // Absent, or of another type, which two filters of one name could only have by mistake: start afresh.
        let state = Arc::new(make());
        held.insert(key, Held { state: Arc::clone(&state) as _, unused_since: None });
        state
    }

    /// Lets all state forget what no longer matters, and drops what nothing has pointed to for [`LINGER`].
    /// Call it every few seconds; at least once a day, which meters rely on.
    pub fn sweep(&self, now: Nanos) {
        // The states are swept outside the lock: a big table must not hold up a reload.
        let in_use: Vec<Arc<dyn State>> = {
            let mut held = self.held.lock();
            held.retain(|_, held| held.is_wanted(now));
            held.values().map(|held| Arc::clone(&held.state)).collect()
        };
        for state in in_use {
            state.sweep(now);
        }
    }

    /// How many states are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.lock().len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Held {
    fn is_wanted(&mut self, now: Nanos) -> bool {
        if Arc::strong_count(&self.state) > 1 {
            self.unused_since = None;
            return true;
        }
        let since = *self.unused_since.get_or_insert(now);
        now.since(since) < LINGER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Spent(AtomicU64);
    impl State for Spent {
        fn sweep(&self, now: Nanos) {
            self.0.store(now.0, Ordering::Relaxed);
        }
    }
    struct Other;
    impl State for Other {}

    fn key(name: &str, mode: Mode) -> StateKey {
        StateKey { owner: "route".into(), filter: "f", name: name.into(), mode, shape: String::new() }
    }

    fn spent(store: &StateStore, name: &str, mode: Mode) -> Arc<Spent> {
        store.adopt(key(name, mode), || Spent(AtomicU64::new(0)))
    }

    #[test]
    fn finds_state_again_by_name_and_mode() {
        let store = StateStore::new(1);
        let first = spent(&store, "a", Mode::Enforce);
        assert!(Arc::ptr_eq(&first, &spent(&store, "a", Mode::Enforce)));
        assert!(!Arc::ptr_eq(&first, &spent(&store, "b", Mode::Enforce)));
        assert!(!Arc::ptr_eq(&first, &spent(&store, "a", Mode::Shadow)));
    }

    #[test]
    fn keeps_unused_state_for_the_linger_and_no_longer() {
        let store = StateStore::new(1);
        let address = Arc::as_ptr(&spent(&store, "a", Mode::Enforce));
        store.sweep(Nanos(1));
        store.sweep(Nanos(1).after(LINGER - Duration::from_nanos(1)));
        assert_eq!(Arc::as_ptr(&spent(&store, "a", Mode::Enforce)), address);
        store.sweep(Nanos(2).after(LINGER));
        assert_eq!(store.len(), 1, "adopting it again starts the linger anew");
        store.sweep(Nanos(2).after(LINGER * 2));
        assert!(store.is_empty());
    }

    #[test]
    fn never_drops_state_in_use() {
        let store = StateStore::new(1);
        let held = spent(&store, "a", Mode::Enforce);
        store.sweep(Nanos(0));
        store.sweep(Nanos(0).after(LINGER * 9));
        assert!(Arc::ptr_eq(&held, &spent(&store, "a", Mode::Enforce)));
        assert_eq!(held.0.load(Ordering::Relaxed), Nanos(0).after(LINGER * 9).0, "and sweeps it");
    }

    #[test]
    fn state_of_another_type_is_not_adopted() {
        let store = StateStore::new(1);
        let _first = spent(&store, "a", Mode::Enforce);
        let _other: Arc<Other> = store.adopt(key("a", Mode::Enforce), || Other);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn later_snapshots_have_greater_numbers() {
        let store = StateStore::new(1);
        assert!(store.next_sequence() < store.next_sequence());
    }
}
