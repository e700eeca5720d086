//! Bytes held in buffers for a dependency.

use std::sync::Arc;

use super::bulkhead::Bulkhead;
use super::{Full, Reason};
use crate::policy::Mode;

/// Leave to hold so many bytes; given back when dropped.
#[must_use = "dropping it gives the bytes back"]
pub struct Bytes {
    bulkhead: Arc<Bulkhead>,
    held: u64,
}

impl Bulkhead {
    /// Leave to hold bytes for this dependency: none yet, [`Bytes::grow`] asks for them.
    pub const fn bytes(self: Arc<Self>) -> Bytes {
        Bytes { bulkhead: self, held: 0 }
    }
}

impl Bytes {
    /// Asks for more. In shadow it is always granted, but what is beyond the bound is not held.
    ///
    /// # Errors
    /// If the dependency holds as many as it may; what is held stays held.
    pub fn grow(&mut self, more: u64) -> Result<(), Full> {
        let state = &self.bulkhead.state;
        if self.bulkhead.mode == Mode::Disabled {
            return Ok(());
        }
        if state.buffered.raise(more, self.bulkhead.max_buffered) {
            self.held = self.held.saturating_add(more);
            return Ok(());
        }
        let full = state.refuse(Reason::Bytes);
        if self.bulkhead.mode == Mode::Shadow { Ok(()) } else { Err(full) }
    }

    /// Gives some back; at most all that are held.
    pub fn shrink(&mut self, less: u64) {
        let less = less.min(self.held);
        self.held = self.held.saturating_sub(less);
        self.bulkhead.state.buffered.lower(less);
    }

    /// How many are held.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.held
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.bulkhead.state.buffered.lower(self.held);
    }
}
