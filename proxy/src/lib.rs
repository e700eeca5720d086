//! The Outrigger sidecar.

pub mod admin;
pub mod cli;
pub mod telemetry;
