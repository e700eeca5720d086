//! What is held while a call is in flight, or waits.

use std::fmt;
use std::sync::Arc;

use super::state::State;

/// Leave to call. The call is in flight until this is dropped: keep it in the response body.
///
/// Whoever drops one looks at its worker's [`super::Gate::next`] afterwards: somebody may be waiting.
#[must_use = "dropping it at once ends the call it stands for"]
pub struct Permit(Option<Arc<State>>);

impl Permit {
    /// Holds nothing: where isolation is disabled, and for who would have been refused in shadow.
    pub(super) const fn nothing() -> Self {
        Self(None)
    }

    /// Holds one that was raised.
    pub(super) const fn of(state: Arc<State>) -> Self {
        Self(Some(state))
    }

    /// Whether it counts among those in flight.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if let Some(state) = self.0.take() {
            state.in_flight.lower(1);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_counted() { "Permit(counted)" } else { "Permit(nothing)" })
    }
}

/// A place in the line of all workers.
#[derive(Debug)]
pub(super) struct Place(Arc<State>);

impl Place {
    /// Holds one that was raised.
    pub(super) const fn of(state: Arc<State>) -> Self {
        Self(state)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.queued.lower(1);
    }
}
