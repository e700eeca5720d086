//! DECIDES.
pub mod clock;
pub mod policies;
pub mod unit;
