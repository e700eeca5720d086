//! The operators' door: a small HTTP/1.1 server on a loopback address or a Unix socket.

pub mod view;

pub use view::{AdminView, Readiness};
