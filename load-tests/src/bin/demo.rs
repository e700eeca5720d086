//! `demo`, run as `cargo demo`: builds and starts everything, prints what to try, stops all on Ctrl-C.

use std::process::ExitCode;

use clap::Parser;
use outrigger_load_tests::demo;
use outrigger_load_tests::process::until_told;

/// A service, a dependency and a sidecar to play with.
#[derive(Parser)]
struct Options {
    /// Run the lines that would be printed, and fail if one does not do as it says.
    #[arg(long)]
    check: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let Options { check } = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(until_told(demo::run(check)))? {
        Some(ended) => ended.map(|()| ExitCode::SUCCESS),
        None => {
            println!("\nstopped");
            Ok(ExitCode::SUCCESS)
        }
    }
}
