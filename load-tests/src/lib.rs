//! Black-box load tests.
