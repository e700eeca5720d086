//! What must hold whatever comes: hostile bytes, slow peers, floods, policy changes, crashes, stops.
//!
//! The real program on real sockets, one family of behaviour a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod attacks_h2;
mod frames;
mod recorder;
