//! SAYS. The policy language.
pub mod plan;
pub mod sidecar;
