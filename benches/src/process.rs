//! Whole processes that serve requests under callgrind, with fixed work between two dumps.
//!
//! The server starts and warms up uncounted; then the counters are zeroed, a fixed number of requests is sent
//! over kept-alive connections, and the counters are dumped. What the kernel does is not in the instructions,
//! so the system calls are counted beside them.

mod files;
mod load;
mod server;

use std::path::{Path, PathBuf};

use crate::callgrind::{self, Profile};

pub use load::Workload;
pub use server::{Kind, Mode, Upstream};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Requests counted, for each workload.
    pub requests: u64,
    /// Kept-alive connections the requests go over, in turns.
    pub connections: usize,
    /// Which requests.
    pub workloads: Vec<Workload>,
}

/// The counts of one server under one workload.
#[derive(Debug)]
pub struct Measured {
    /// Which requests.
    pub workload: Workload,
    /// How many.
    pub requests: u64,
    /// What they cost.
    pub profile: Profile,
    /// The dump itself, for `callgrind_annotate`.
    pub file: PathBuf,
}

impl Measured {
    /// A count for each request.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn per_request(&self, count: u64) -> f64 {
        count as f64 / self.requests.max(1) as f64
    }
}

/// Why nothing can be counted here, if so.
///
/// # Errors
/// Names the program that is missing.
pub fn available() -> Result<(), String> {
    for program in ["valgrind", "vgdb"] {
        if callgrind::program(program).is_none() {
            return Err(format!("{program} is not installed (on Debian: apt-get install valgrind)"));
        }
    }
    Ok(())
}

/// Runs a server under callgrind and counts each workload. Dumps stay in `dir`.
///
/// # Errors
/// When a server does not start, an answer is not a 200, or valgrind fails.
pub fn measure(
    kind: &Kind,
    mode: Mode,
    upstream: &Upstream,
    dir: &Path,
    plan: &Plan,
) -> anyhow::Result<Vec<Measured>> {
    let mut server = server::Server::start(kind, mode, upstream.address, dir)?;
    let mut measured = Vec::new();
    for workload in &plan.workloads {
        let mut load = load::Load::open(server.address, plan.connections, *workload)?;
        // Twice: pools fill on the first turn, and the timers of the first turn are reused on the second.
        load.send(2 * load.connections())?;
        load.send(plan.requests / 8)?;
        server.zero()?;
        let requests = load.send(plan.requests)?;
        let file = server.dump()?;
        measured.push(Measured { workload: *workload, requests, profile: Profile::read(&file)?, file });
    }
    Ok(measured)
}
