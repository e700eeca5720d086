//! `outrigger-control`. The control service is not in this version; the program says so, and what there is instead.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

/// The control service of Outrigger: stores policies, rolls them out in stages, watches what they do.
///
/// It is not in this version. A sidecar is complete without it: `outrigger proxy --policy FILE` serves a policy
/// file and takes it anew whenever it is saved.
#[derive(Debug, Parser)]
#[command(name = "outrigger-control", version)]
struct Cli {}

/// One line, because that is what somebody sees whose unit or container ends at once.
const ABSENT: &str = "outrigger-control: the control service is not in this version; \
                      a sidecar needs none: `outrigger proxy --policy FILE` follows a policy file as it is edited\n";

fn main() -> ExitCode {
    let Cli {} = Cli::parse();
    let _ = std::io::stderr().write_all(ABSENT.as_bytes());
    ExitCode::FAILURE
}
