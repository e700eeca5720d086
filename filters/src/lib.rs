//! DECIDES: resilience decisions without I/O, without a runtime, with the time passed in.
//!
//! A [`policy::Policy`] is what an operator writes; it builds [`filter::Filter`]s into a [`chain::Chain`]. The
//! chain is asked once per request with a [`request::RequestView`] and the time, and answers with
//! [`chain::Admitted`], to be settled with the request's [`outcome::Outcome`], or with a [`filter::Rejection`].
//! What is counted and spent lives in the [`state::StateStore`] and survives every change of policy.
//!
//! Asking a chain never blocks, awaits, allocates or logs. The whole list of policies is in [`policies`]; one more
//! is a new file, its `mod` line here, and its name in that list.

pub mod balance;
pub mod chain;
pub mod circuit_breaker;
pub mod clock;
pub mod counter;
pub mod evidence;
pub mod filter;
pub mod isolation;
mod meter;
pub mod outcome;
pub mod policies;
pub mod policy;
pub mod rate_limits;
pub mod request;
pub mod retries;
pub mod state;
pub mod unit;
