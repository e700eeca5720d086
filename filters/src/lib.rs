//! DECIDES: resilience decisions without I/O, without a runtime, with the time passed in.

pub mod clock;
pub mod policies;
pub mod policy;
pub mod rate_limits;
pub mod unit;
