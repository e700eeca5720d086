//! The Outrigger sidecar.

pub mod admin;
<<<<<<< HEAD
pub mod app;
pub mod cli;
mod failure;
pub mod hygiene;
mod pipeline;
mod policy;
mod respond;
pub mod router;
mod server;
mod snapshot;
=======
pub mod cli;
>>>>>>> h-telemetry
pub mod telemetry;
mod timer;
mod upstream;
mod worker;
