//! The way of a policy: source → document → plan → snapshot → swap. Start-up is a reload from nothing.

pub(crate) mod apply;
mod report;
pub(crate) mod state;
pub(crate) mod watch;
