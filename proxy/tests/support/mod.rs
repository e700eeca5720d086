//! What several tests share. Each test file uses its part of it.
#![allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]

pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod exposition;
pub(crate) mod raw;
pub(crate) mod run;
pub(crate) mod sidecar;
pub(crate) mod tls;
