//! What is counted and spent: pure data structures, the time and the knobs passed in.

pub(crate) mod gcra;
mod slots;
pub(crate) mod table;
pub(crate) mod ticks;
