//! What several tests share.

pub mod exposition;
