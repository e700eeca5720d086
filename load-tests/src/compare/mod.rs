//! CPU per request, throughput of one core and latency, side by side in one run.
//!
//! Every contender has core 0 to itself while it is measured; the load generator (wrk, h2load) and a lean
//! upstream have the others. All contenders run all the time and are measured in turns, A B C D A B C D, so that
//! a machine that slows down or speeds up does it to all of them; medians over rounds are reported, and ratios
//! are medians of the ratios within a round.
//!
//! CPU per request is user and system time of the process, its threads and its children, divided by the
//! requests the load generator counted. What a machine does with it varies; the ratios are the point.

mod files;
mod load;
mod machine;
mod parse;
mod peer;
mod report;
mod rounds;
mod workload;

use std::path::PathBuf;

use anyhow::{Context, bail};

pub use self::peer::{Mode, Peer};
pub use self::report::Report;
pub use self::workload::Workload;

use self::peer::Contender;
use crate::process::{self, on_path, pin_to};
use crate::upstream::{Config, Upstream};

/// What to compare.
#[derive(Clone, Debug)]
pub struct Options {
    /// Those who take part; others are left out without a word.
    pub peers: Vec<Peer>,
    /// With policies, without, or both.
    pub modes: Vec<Mode>,
    /// Kinds of requests.
    pub workloads: Vec<Workload>,
    /// Times each contender is measured under each workload.
    pub rounds: u32,
    /// Seconds of one measurement.
    pub seconds: u32,
    /// Connections of HTTP/1.1 workloads.
    pub connections: u32,
    /// The sidecar's program; absent: beside ours.
    pub outrigger: Option<PathBuf>,
    /// A bare pingora-proxy, run as `PROGRAM --listen ADDRESS --upstream ADDRESS`.
    pub pingora: Option<PathBuf>,
}

/// Runs the whole comparison, telling its progress on stderr.
///
/// # Errors
/// When wrk or h2load is missing, there are fewer than two cores, or a contender that is installed fails.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        bail!("a comparison needs two cores: one for the proxy, one for its load");
    }
    for tool in options.workloads.iter().map(|workload| workload.tool()) {
        on_path(tool)
            .with_context(|| format!("{tool} is not installed (apt-get install wrk nghttp2-client)"))?;
    }
    pin_to(1..cores).context("cannot keep the load off core 0")?;
    process::raise_open_files()?;
    let dir = Scratch::new()?;
    let upstream = Upstream::start(Config { fixed: true, ..Config::default() })?;
    let mut skipped = Vec::new();
    let mut contenders = Vec::new();
    for peer in &options.peers {
        match peer.program(options) {
            Ok(program) => {
                for mode in options.modes.iter().filter(|mode| peer.takes(**mode)) {
                    let at = dir.0.join(format!("{peer}-{mode}"));
                    eprintln!("starting {peer} ({mode})");
                    let started = Contender::start(*peer, *mode, &program, upstream.address(), &at).await;
                    contenders.push(started.with_context(|| format!("{peer} ({mode})"))?);
                }
            }
            Err(reason) => skipped.push((*peer, reason)),
        }
    }
    for (peer, reason) in &skipped {
        eprintln!("skipped {peer}: {reason}");
    }
    let samples = rounds::run(options, &contenders, upstream.address(), &dir.0).await?;
    Ok(Report::new(options, machine::describe(&contenders, cores), &samples, skipped))
}

/// A directory of our own under the system's temporary one, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("outrigger-compare-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind in a temporary directory is not worth an error.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
