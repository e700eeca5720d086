//! What a failing dependency may do to callers, to itself and to its neighbours: drills with real failures.
//!
//! Each drill starts a sidecar and upstreams that fail in one way, keeps open-loop load on them, and holds what
//! callers and upstreams saw to a bound:
//!
//! * `hung`: a dependency accepts and never answers; the breaker must refuse within two seconds, long before any
//!   timeout, and must not flood the dependency when it answers again;
//! * `isolation`: one dependency is black-holed, drips, fails TLS or is stormed; its neighbour must not notice;
//! * `storm`: everything fails; retries must stay within their budget, writes must arrive once, and one dead endpoint
//!   beside a living one must be nobody's trouble.

mod arrivals;
mod caller;
mod hung;
mod isolation;
mod load;
mod storm;
mod verdict;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};

use self::verdict::Verdict;
use crate::process::raise_open_files;

/// One drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Drill {
    /// A dependency that accepts and never answers.
    Hung,
    /// A neighbour that fails in every way.
    Isolation,
    /// An upstream that fails every request.
    Storm,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sidecar's program.
    pub outrigger: PathBuf,
    /// Those to run, in this order.
    pub drills: Vec<Drill>,
    /// How long failures last, in seconds, three at least for one to be noticed.
    pub seconds: u32,
    /// How often each trouble of `isolation` takes its turn.
    pub rounds: u32,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Report {
    verdicts: Vec<Verdict>,
}

impl Report {
    /// Bounds that were missed.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.verdicts.iter().map(Verdict::failures).sum()
    }

    /// For scripts.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let drills: Vec<Value> = self.verdicts.iter().map(Verdict::as_json).collect();
        json!({ "drills": drills, "failures": self.failures() })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdicts.iter().try_for_each(|verdict| writeln!(formatter, "{verdict}"))?;
        write!(formatter, "{} failures", self.failures())
    }
}

/// Runs the drills one after another, each with a sidecar in a directory of its own under `dir`.
///
/// # Errors
/// When a sidecar does not start or an address cannot be had; what it does wrong is in the report.
pub async fn run(options: &Options, dir: &Path) -> anyhow::Result<Report> {
    raise_open_files()?;
    let mut verdicts = Vec::new();
    for drill in &options.drills {
        eprintln!("drill: {drill:?}");
        verdicts.push(match drill {
            Drill::Hung => hung::run(options, &dir.join("hung")).await?,
            Drill::Isolation => isolation::run(options, &dir.join("isolation")).await?,
            Drill::Storm => storm::run(options, &dir.join("storm")).await?,
        });
    }
    Ok(Report { verdicts })
}
