//! `compare`: CPU per request beside nginx, HAProxy, Envoy and a bare Pingora. See the library for the method.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use outrigger_load_tests::compare::{self, Mode, Peer, Workload};
use outrigger_load_tests::process::until_told;

/// Measures the sidecar and its peers side by side, in turns, on one core each.
#[derive(Parser)]
struct Options {
    /// Those who take part.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Peer>,
    /// Kinds of requests.
    #[arg(long, value_enum, value_delimiter = ',')]
    workloads: Vec<Workload>,
    /// Policies on, off, or both.
    #[arg(long, value_enum, value_delimiter = ',')]
    modes: Vec<Mode>,
    /// Times each is measured; medians are reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Connections of HTTP/1.1 workloads.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// The sidecar's program, best built with --release; without it, `outrigger` beside this program.
    #[arg(long, value_name = "PATH")]
    outrigger: Option<PathBuf>,
    /// A bare pingora-proxy, run as `PATH --listen ADDRESS --upstream ADDRESS`.
    #[arg(long, value_name = "PATH")]
    pingora: Option<PathBuf>,
    /// Where the results go as JSON.
    #[arg(long, value_name = "FILE", default_value = "target/compare.json")]
    json: PathBuf,
    /// Print the table as Markdown.
    #[arg(long)]
    markdown: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let wanted = compare::Options {
        peers: or_all(options.only),
        modes: or_all(options.modes),
        workloads: or_all(options.workloads),
        rounds: options.rounds,
        seconds: options.seconds,
        connections: options.connections,
        outrigger: options.outrigger,
        pingora: options.pingora,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Some(report) = runtime.block_on(until_told(compare::run(&wanted)))? else {
        eprintln!("stopped");
        return Ok(ExitCode::FAILURE);
    };
    let report = report?;
    println!("{}", if options.markdown { report.as_markdown() } else { report.as_text() });
    let json = serde_json::to_string_pretty(&report.as_json())?;
    if let Some(dir) = options.json.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(&options.json, json)
        .with_context(|| format!("cannot write {}", options.json.display()))?;
    eprintln!("written: {}", options.json.display());
    Ok(if report.errors() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn or_all<T: ValueEnum + Clone>(chosen: Vec<T>) -> Vec<T> {
    if chosen.is_empty() { T::value_variants().to_vec() } else { chosen }
}
