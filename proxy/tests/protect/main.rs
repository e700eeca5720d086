//! What keeps a service up when what it calls does not work: breakers, retries, isolation.
//!
//! The real program on real sockets, before dependencies that hang, fail and heal as the test says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod breaker_closes;
mod breaker_evidence;
mod breaker_opens;
mod breaker_scope;
mod calls;
mod isolation;
mod isolation_bounds;
mod isolation_waiting;
mod retries;
mod retries_cost;
mod retries_time;
mod retries_unsent;
mod scripted;
