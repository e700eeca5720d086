//! What a request must look like before anything is decided about it, and what is cleaned before it leaves.
//!
//! Everything here is a pure function or a small state machine: no I/O, no clock, no runtime. The order
//! on an inbound HTTP/1 connection is
//!
//! 1. [`guard`] judges the socket's bytes before the HTTP parser sees them (request smuggling),
//! 2. [`path`] refuses paths that two programs could read in two ways (policy bypass),
//! 3. [`hop`] removes what belongs to one connection only, [`untrusted`] what only a trusted peer may say,
//! 4. [`forwarded`] and [`via`] say who asked and through whom, [`trace`] and [`request_id`] which request it is.
//!
//! Hop-by-hop and untrusted fields are removed *before* routing, so policies and the app see the same request.
pub(crate) mod chunk;
mod class;
mod field;
pub mod forwarded;
pub mod guard;
mod head;
mod hex;
pub mod hop;
pub(crate) mod host;
mod lines;
mod malformed;
pub mod network;
pub mod path;
pub mod random;
pub mod request_id;
pub mod seen;
mod target;
pub mod timeout;
pub mod trace;
pub mod untrusted;
pub mod via;

pub use malformed::Malformed;

/// Whether a field may stand behind a body: it can change nothing about the message it ends.
pub(crate) fn may_trail(name: &str) -> bool {
    field::check_trailer(name.as_bytes()).is_ok()
}
