//! SAYS. The policy language: documents to plans, with every problem at once.
//!
//! ```text
//! bytes → tree with places (yaml) → document as written (decode) → plan, proven (build) → proxy
//! ```
//!
//! [`load`] and [`parse`] are the only ways to a [`plan::Plan`]; whoever holds one need not check it again.
//! Nothing here opens sockets or reads the clock, and nothing a document says makes it panic: documents are
//! hostile until proven, our own included.

pub mod codes;
pub mod plan;
pub mod sidecar;

mod build;
mod decode;
mod diagnostics;
mod document;
mod effective;
mod index;
mod kind;
mod load;
mod merge;
mod node;
mod not_built;
mod render;
mod schema;
mod suggest;
mod yaml;

pub use build::anchored;
pub use diagnostics::{Diagnostics, Problem, Severity};
pub use kind::{Kind, kind_of, validate};
pub use load::{LoadError, Policy, Source, app, builtin, load, parse};
pub use schema::schema;
