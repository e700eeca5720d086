//! The commands of `outrigger`.

pub mod client;
pub mod samples;
pub mod stat;
pub mod top;
