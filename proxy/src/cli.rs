//! The commands of `outrigger`.

pub mod client;
mod explain;
pub mod health;
pub mod samples;
pub mod stat;
pub mod top;
mod validate;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A resilience sidecar: it stands before your app and between it and what it calls.
#[derive(Debug, Parser)]
#[command(name = "outrigger", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the sidecar
    Proxy {
        /// What the process is: listeners, limits, logs (sidecar.yaml)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// What it does: a policy file or a directory of them; beats policy.file
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Where the app listens: http://, h2c://, https:// or unix:/path; beats inbound.app
        #[arg(long, value_name = "URL")]
        app: Option<String>,
    },
    /// Check files and report every problem with its place
    Validate(validate::Args),
    /// Print the JSON Schema of the policy language
    Schema,
    /// Say which route and policies a request would meet, in order, and why
    Explain(explain::Args),
    /// Show the routes of a running sidecar: rates, success, latency
    Stat(stat::Args),
    /// Watch the traffic of a running sidecar
    Top(top::Args),
    /// Ask a running sidecar whether it is ready: exit code 0, 1 or 5 (unreachable)
    Health(health::Args),
}

/// Runs the command line. Exit codes: 0 ok, 1 failed, 2 usage, 5 unreachable.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Proxy { config, policy, app } => {
            crate::app::run(&crate::app::Options { config, policy, app })
        }
        Command::Validate(args) => validate::run(&args),
        Command::Schema => print(&format!("{:#}\n", outrigger_config::schema())),
        Command::Explain(args) => explain::run(&args),
        Command::Stat(args) => wait(stat::run(args)),
        Command::Top(args) => wait(top::run(args)),
        Command::Health(args) => wait(health::run(args)),
    }
}

fn wait(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => complain(&format!("cannot start a runtime: {error}"), 1),
    }
}

/// Writes to standard output. A reader that left early is no failure.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(text: &str, code: u8) -> ExitCode {
    let _ = std::io::stderr().write_all(format!("outrigger: {text}\n").as_bytes());
    ExitCode::from(code)
}
