//! `gate`: fails when a part of a request's way got dearer than it may.
//!
//! `cargo build --profile quick -p outrigger-benches --bins`, then `cargo run --profile quick -p
//! outrigger-benches --bin gate`. The reference holds for that profile and the pinned compiler.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;
use outrigger_benches::gate::{self, Count, Counts};
use outrigger_benches::scenarios::{ALL, ROUTER_LARGE, ROUTER_SMALL, Run, Scenario};
use outrigger_benches::{process, report};

/// Runs whose allocations are counted.
const RUNS: u64 = 1000;

/// Counts instructions and allocations of every scenario and compares them with what they may be.
#[derive(Parser)]
struct Options {
    /// Write what is counted as the new reference
    #[arg(long)]
    update: bool,
    /// The reference [default: reference.json of this package]
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Where the numbers go as JSON [default: gate.json in the target directory]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let reference_file =
        options.reference.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("reference.json"));
    let missing = process::available().err();
    ensure!(missing.is_none() || !options.update, "no reference without valgrind");
    let counts = count(missing.is_none())?;
    let json = format!("{:#}\n", gate::to_json(&counts));
    let file = options.json.unwrap_or_else(|| report::target_dir().join("gate.json"));
    write(&file, &json)?;
    if options.update {
        write(&reference_file, &json)?;
    }
    let text = std::fs::read_to_string(&reference_file)
        .with_context(|| format!("cannot read {}", reference_file.display()))?;
    let reference = gate::from_json(&text)?;
    let failures = gate::judge(&counts, &reference);
    let mut out = std::io::stdout().lock();
    write!(out, "{}", table(&counts, &reference))?;
    if let Some(missing) = missing {
        writeln!(out, "\nskipped: instructions are not counted, {missing}")?;
    }
    for failure in &failures {
        writeln!(out, "FAILED {failure}")?;
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn count(with_instructions: bool) -> anyhow::Result<Counts> {
    let program = std::env::current_exe()?.with_file_name("scenario");
    if with_instructions {
        ensure!(program.is_file(), "no program {}; build all of this package with --bins", program.display());
    }
    let mut counts = Counts::new();
    for scenario in ALL {
        report::progress(scenario.name);
        let instructions = match with_instructions {
            true => Some(gate::instructions(&program, scenario)?),
            false => None,
        };
        counts.insert(scenario.name.into(), Count { instructions, allocations: allocations(scenario)? });
    }
    Ok(counts)
}

fn allocations(scenario: &Scenario) -> anyhow::Result<f64> {
    let mut run: Run = (scenario.prepare)()?;
    run();
    let counted = allocation_counter::measure(|| (0..RUNS).for_each(|_| run()));
    Ok(gate::ratio(counted.count_total, RUNS))
}

fn table(counts: &Counts, reference: &Counts) -> String {
    let mut text =
        String::from("a run of           instructions   reference   change   allocations  allowed\n");
    for scenario in ALL {
        let Some(count) = counts.get(scenario.name) else { continue };
        let then = reference.get(scenario.name).and_then(|count| count.instructions);
        let change = count.instructions.zip(then).map(|(now, then)| (now / then - 1.0) * 100.0);
        text.push_str(&format!(
            "{:18} {:>12} {:>11} {:>8} {:13.2} {:8}  {}\n",
            scenario.name,
            or_dash(count.instructions, |number| format!("{number:.0}")),
            or_dash(then, |number| format!("{number:.0}")),
            or_dash(change, |number| format!("{number:+.1} %")),
            count.allocations,
            scenario.allocations,
            scenario.what,
        ));
    }
    let of = |name| counts.get(name).and_then(|count: &Count| count.instructions);
    if let (Some(large), Some(small)) = (of(ROUTER_LARGE), of(ROUTER_SMALL)) {
        text.push_str(&format!(
            "\n10,000 routes against 10: {:.3} (at most {})\n",
            large / small,
            gate::ROUTES
        ));
    }
    text
}

fn or_dash(number: Option<f64>, show: impl FnOnce(f64) -> String) -> String {
    number.map_or_else(|| "-".to_owned(), show)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
