//! What must hold whatever comes: hostile bytes, slow peers, floods, policy changes, crashes, stops.
//!
//! The real program on real sockets, one family of behaviour a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod again;
mod attacks;
mod attacks_h2;
mod deadlines;
mod drain;
mod frames;
mod lifecycle;
mod limits;
mod rate_limits;
mod recorder;
mod records;
mod reload;
mod retry;
mod timeouts;
mod watching;
