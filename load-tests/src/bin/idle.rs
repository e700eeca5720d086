//! `idle`: what idle connections cost in memory; exits 1 above the bounds.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use outrigger_load_tests::idle;
use outrigger_load_tests::process::{outrigger, until_told};

/// Measures the resident memory of a sidecar, idle and with idle keep-alive connections.
#[derive(Parser)]
struct Options {
    /// Connections to open, each after one request idle.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// The sidecar's program; without it, `outrigger` beside this program.
    #[arg(long, value_name = "PATH")]
    outrigger: Option<PathBuf>,
    /// Where the sidecar's files go; kept for a look afterwards.
    #[arg(long, value_name = "DIR", default_value = "target/idle")]
    dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let Options { connections, outrigger: given, dir, json } = Options::parse();
    let program = outrigger(given.as_deref()).context("no outrigger; build it and give --outrigger PATH")?;
    std::fs::create_dir_all(&dir)?;
    let options = idle::Options { outrigger: program.canonicalize()?, connections };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = runtime.block_on(until_told(idle::run(&options, &dir.canonicalize()?)))?;
    let report = run.context("stopped")??;
    if json {
        println!("{}", report.as_json());
    } else {
        println!("{report}");
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
