//! Black-box load tests: everything here speaks to the sidecar over the wire and imports nothing of it.
//!
//! * [`upstream`]: a scriptable server, which other crates may take as a dev-dependency;
//! * [`compare`]: CPU per request, throughput and latency beside nginx, HAProxy, Envoy and a bare Pingora;
//! * [`reloads`]: a thousand policy changes under load; [`idle`]: what idle connections cost;
//! * [`drills`]: dependencies that hang, fail and storm, and what others notice of it;
//! * [`demo`]: a service, a dependency and a sidecar to play with.
//!
//! Each is a program of the same name too. [`process`] keeps what they start under control.

pub mod compare;
pub mod demo;
pub mod drills;
pub mod idle;
pub mod process;
pub mod reloads;
pub mod sidecar;
pub mod upstream;

mod client;
mod metrics;
mod stats;
