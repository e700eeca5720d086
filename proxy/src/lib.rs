//! The Outrigger sidecar.
