//! The control service. Not in this version: see `--help`.
fn main() {}
