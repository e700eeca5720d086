//! Isolation: how much of the sidecar one dependency may take, so that the others do not feel it when it hangs.
//!
//! **Decides** who may call, who waits and who is turned away. A dependency has so many calls in flight, so many
//! waiting for one of them to end, and so many bytes in buffers; of each never more than its share of the process's,
//! once there are others to share with. A call is in flight until its [`Permit`] is dropped: at the end of the body.
//!
//! **The line** ([`Gate`]) is each worker's own, unordered among workers, and bounded for all together. While it is short-lived it is served in
//! the order of arrival. Once it has been standing for 100 ms it is served newest first, and with each call let in
//! those that have waited longer than 5 ms are turned away: callers at the back of a long line have mostly given up,
//! and serving them first would make everybody late (Facebook's adaptive LIFO and controlled delay: B. Maurer, *Fail
//! at Scale*, ACM Queue 13(8); after CoDel, RFC 8289). Nobody waits longer than `queue_timeout` or its own deadline.
//!
//! **State**: counts in flight, waiting and buffered, shared by all workers and snapshots; a new limit counts those
//! that an old one let in. A limit that was lowered refuses until enough have ended.
//!
//! **At the limits**: 503 `connection_limit_reached`, `Retry-After: 1`, with the [`Reason`]. In shadow everybody
//! passes; who would have been refused is counted and takes nothing.
//!
//! **Cost**: an atomic word on the way in and one on the way out; no lock. The line costs a walk over those who wait.

mod bulkhead;
mod bytes;
mod gate;
mod permit;
mod queue;
mod reason;
mod spec;
mod state;
mod validate;

use std::time::Duration;

pub use bulkhead::{Bulkhead, Occupied, Process};
pub use bytes::Bytes;
pub use gate::{Entry, Gate};
pub use permit::Permit;
pub use queue::Ticket;
pub use reason::{Full, Reason};
pub use spec::Spec;

/// The name of the block, the `filter` of its state and the field in logs.
pub const NAME: &str = "isolation";

/// The longest line: each call that ends walks over it.
pub const LONGEST_QUEUE: u32 = 1_024;

/// The longest wait that is not better answered by a refusal.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a line must stand before it is served newest first and shortened.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// How long a call may have waited in a line that stands.
pub const TARGET: Duration = Duration::from_millis(5);

/// How often a line looks for room that another worker has made.
pub const LOOK_EVERY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
