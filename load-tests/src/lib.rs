//! Black-box load tests: everything here speaks to the sidecar over the wire and imports nothing of it.
//!
//! [`upstream`] is a scriptable server for tests and benches; other crates may take it as a dev-dependency.

pub mod upstream;
