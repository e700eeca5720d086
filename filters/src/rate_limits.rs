//! Rate limits.

mod spec;

pub use spec::{DEFAULT_MAX_KEYS, Headers, KeyPart, Limit, OnOverflow};
