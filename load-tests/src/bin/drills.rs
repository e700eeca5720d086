//! `drills`: dependencies that hang, fail and storm; exits 1 when a bound was missed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use outrigger_load_tests::drills::{self, Drill};
use outrigger_load_tests::process::{outrigger, until_told};

/// Makes dependencies hang, fail and storm, and holds what callers and upstreams see to its bounds.
#[derive(Parser)]
struct Options {
    /// Those to run; without it, all.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Drill>,
    /// How long failures last.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(3..=60))]
    seconds: u32,
    /// How often each kind of trouble is measured in `isolation`.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=60))]
    rounds: u32,
    /// As short as can still tell: for every build.
    #[arg(long, conflicts_with_all = ["seconds", "rounds"])]
    quick: bool,
    /// The sidecar's program; without it, `outrigger` beside this program.
    #[arg(long, value_name = "PATH")]
    outrigger: Option<PathBuf>,
    /// Where the sidecars' files go; kept for a look afterwards.
    #[arg(long, value_name = "DIR", default_value = "target/drills")]
    dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Seconds and rounds of a quick run.
const QUICK: (u32, u32) = (3, 2);

fn main() -> anyhow::Result<ExitCode> {
    let Options { only, seconds, rounds, quick, outrigger: given, dir, json } = Options::parse();
    let program = outrigger(given.as_deref()).context("no outrigger; build it and give --outrigger PATH")?;
    std::fs::create_dir_all(&dir)?;
    let drills = if only.is_empty() { Drill::value_variants().to_vec() } else { only };
    let (seconds, rounds) = if quick { QUICK } else { (seconds, rounds) };
    let options = drills::Options { outrigger: program.canonicalize()?, drills, seconds, rounds };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = runtime.block_on(until_told(drills::run(&options, &dir.canonicalize()?)))?;
    let report = run.context("stopped")??;
    if json {
        println!("{:#}", report.as_json());
    } else {
        println!("{report}");
    }
    Ok(if report.failures() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
