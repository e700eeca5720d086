//! The Outrigger sidecar.

pub mod admin;
pub mod telemetry;
