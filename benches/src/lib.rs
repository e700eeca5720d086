//! What a request costs, counted rather than timed.
//!
//! Instructions in user space are nearly the same on every run and every machine with the same compiler, so a
//! change of a few per cent can be seen, and gated, on a busy machine where wall time tells nothing. Counts come
//! from valgrind's callgrind; it is not needed to build, and what needs it says so where it is missing.
//!
//! * `gate` counts the parts of a request's way, each by itself, and fails when one got dearer;
//! * `instructions` counts whole processes that serve requests: ours, another build of ours, nginx;
//! * `cargo bench -p outrigger-benches` times the same parts on the wall clock.

pub mod callgrind;
pub mod gate;
pub mod process;
pub mod report;
pub mod scenarios;
