//! The Outrigger sidecar.
pub mod hygiene;
