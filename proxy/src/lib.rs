//! The Outrigger sidecar.

pub mod admin;
pub mod app;
pub mod cli;
mod explain;
mod failure;
pub mod hygiene;
mod pipeline;
mod policy;
mod respond;
pub mod router;
mod server;
mod snapshot;
pub mod telemetry;
mod timer;
mod upstream;
mod worker;

#[doc(hidden)]
pub use upstream::h1::pieces;
