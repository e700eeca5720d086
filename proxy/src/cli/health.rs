//! `outrigger health`: whether a sidecar is ready, as an exit code. For health checks of container images, which
//! have no shell and no curl.

use std::process::ExitCode;

use super::client::{Address, Client, Error};
use super::{complain, print};

/// Asks a running sidecar whether it is ready.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The sidecar's admin address, HOST:PORT or unix:/path
    #[arg(long, env = "OUTRIGGER_ADMIN", default_value = "127.0.0.1:15000")]
    pub admin: Address,
}

/// Runs the command. 0: ready; 1: not, and why; 5: nobody answers.
pub async fn run(args: Args) -> ExitCode {
    match Client::new(args.admin).get("/readyz").await {
        Ok(_) => print("ready\n"),
        Err(Error::Refused(503, why)) => complain(&format!("not ready: {why}"), 1),
        Err(error) => {
            complain(&error.to_string(), 0);
            error.exit_code()
        }
    }
}
