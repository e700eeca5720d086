//! `outrigger validate`: every problem of every file.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use outrigger_config::{Diagnostics, Kind, LoadError, validate};

use super::{complain, print};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policies (files or directories), sidecar.yaml, control.yaml: they are told apart
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to report
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Human,
    Json,
    Sarif,
}

/// 0: all hold; 1: one does not; 2: one could not be read.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut all = Diagnostics::default();
    let mut good = Vec::new();
    for file in &args.files {
        match validate(file) {
            Ok((kind, warnings)) => {
                good.push((file, kind));
                all.problems.extend(warnings.problems);
            }
            Err(LoadError::Invalid(diagnostics)) => all.problems.extend(diagnostics.problems),
            Err(unreadable) => return complain(&unreadable.to_string(), 2),
        }
    }
    let text = match args.output {
        Output::Human => human(&all, &good),
        Output::Json => format!("{:#}\n", all.to_json()),
        Output::Sarif => format!("{:#}\n", all.to_sarif()),
    };
    print(&text);
    ExitCode::from(u8::from(all.has_errors()))
}

fn human(all: &Diagnostics, good: &[(&PathBuf, Kind)]) -> String {
    let mut text = all.to_human(std::io::stdout().is_terminal());
    for (file, kind) in good {
        let kind = match kind {
            Kind::Policy => "policy",
            Kind::Sidecar => "sidecar configuration",
            Kind::Control => "control configuration",
        };
        text.push_str(&format!("ok: {} is a valid {kind}\n", file.display()));
    }
    text
}
