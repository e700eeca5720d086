//! The connection against servers spoken for by hand, over real sockets. Nothing sleeps: what has to be there is
//! waited for, and a task that nobody wakes shows as a test that does not end in time.

mod answers;
mod endings;
mod requests;
mod round_trip;
mod support;
