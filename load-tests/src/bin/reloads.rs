//! `reloads`: a thousand policy changes under load; exits 1 if anything was not as it must be.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use outrigger_load_tests::process::{outrigger, until_told};
use outrigger_load_tests::reloads;

/// Changes the policy under load, a tenth of the changes bad, and checks that nobody notices.
#[derive(Parser)]
struct Options {
    /// Policy changes to make.
    #[arg(long, default_value_t = 1000)]
    count: u32,
    /// Closed loops of requests.
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// Fail when the p99 under reloads is more than so many times the p99 without.
    #[arg(long, value_name = "RATIO")]
    max_p99_ratio: Option<f64>,
    /// The sidecar's program; without it, `outrigger` beside this program.
    #[arg(long, value_name = "PATH")]
    outrigger: Option<PathBuf>,
    /// Where the sidecar's files go; kept for a look afterwards.
    #[arg(long, value_name = "DIR", default_value = "target/reloads")]
    dir: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let Options { count, clients, max_p99_ratio, outrigger: given, dir } = Options::parse();
    let program = outrigger(given.as_deref()).context("no outrigger; build it and give --outrigger PATH")?;
    std::fs::create_dir_all(&dir)?;
    let options = reloads::Options { outrigger: program.canonicalize()?, count, clients, max_p99_ratio };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = runtime.block_on(until_told(reloads::run(&options, &dir.canonicalize()?)))?;
    let report = run.context("stopped")??;
    println!("{report}");
    Ok(if report.failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
