//! `instructions`: what one request costs a whole proxy, in user-space instructions, system calls, allocations.
//!
//! Builds of `outrigger` to compare need line tables at most; the `quick` and `release` profiles have them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;
use outrigger_benches::process::{self, Kind, Measured, Mode, Plan, Upstream, Workload};
use outrigger_benches::report;
use serde_json::{Value, json};

/// Counts what one request costs a proxy: instructions in user space, system calls, allocations.
#[derive(Parser)]
struct Options {
    /// The sidecar [default: `outrigger` beside this program]
    #[arg(long, value_name = "PATH")]
    outrigger: Option<PathBuf>,
    /// Another build of it, counted as well; its change against the first is shown
    #[arg(long, value_name = "PATH")]
    compare: Option<PathBuf>,
    /// The upstream of the load tests [default: `upstream` beside this program]
    #[arg(long, value_name = "PATH")]
    upstream: Option<PathBuf>,
    /// Count nginx as well
    #[arg(long)]
    nginx: bool,
    /// Requests counted, for each workload
    #[arg(long, default_value_t = 2000)]
    requests: u64,
    /// Kept-alive connections
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Only these workloads
    #[arg(long, value_enum)]
    workload: Vec<Workload>,
    /// Only with, or only without, rate limits
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Print the dearest functions, by what they cost themselves and with what they call
    #[arg(long, num_args = 0..=1, default_missing_value = "25", value_name = "COUNT")]
    top: Option<usize>,
    /// Print who calls the functions whose name contains this, such as rust_alloc, clock_gettime or memcpy
    #[arg(long, value_name = "PATTERN")]
    callers: Vec<String>,
    /// Keep callgrind's dumps here, for callgrind_annotate or KCachegrind
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Where the numbers go as JSON [default: instructions.json in the target directory]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    process::available().map_err(anyhow::Error::msg)?;
    let temporary = tempfile::tempdir()?;
    let dir = options.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    let dir = std::path::absolute(dir)?;
    let upstream = Upstream::start(&found(options.upstream.as_deref(), "upstream")?)?;
    let modes = options.mode.map_or_else(|| vec![Mode::Bare, Mode::Limits], |mode| vec![mode]);
    let mut rows = Vec::new();
    for (name, kind) in contenders(&options)? {
        for mode in &modes {
            report::progress(&format!("{name}, {}", mode.name()));
            let dir = dir.join(format!("{name}-{}", mode.name()));
            let measured = process::measure(&kind, *mode, &upstream, &dir, &plan(&options))
                .with_context(|| format!("{name}, {}", mode.name()))?;
            rows.extend(measured.into_iter().map(|measured| Row { server: name, mode: *mode, measured }));
        }
    }
    let mut out = std::io::stdout().lock();
    write!(out, "{}", table(&rows))?;
    for row in rows.iter().filter(|row| row.server != "nginx") {
        write!(out, "{}", details(row, options.top, &options.callers))?;
    }
    let file = options.json.unwrap_or_else(|| report::target_dir().join("instructions.json"));
    let numbers = Value::from_iter(rows.iter().map(Row::json));
    std::fs::write(&file, format!("{numbers:#}\n"))
        .with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(out, "\nwritten to {}", file.display())?;
    Ok(())
}

fn plan(options: &Options) -> Plan {
    let workloads = match options.workload.as_slice() {
        [] => vec![Workload::Get128, Workload::Get16k, Workload::Post1k],
        some => some.to_vec(),
    };
    Plan { requests: options.requests, connections: options.connections, workloads }
}

fn contenders(options: &Options) -> anyhow::Result<Vec<(&'static str, Kind)>> {
    let ours = found(options.outrigger.as_deref(), "outrigger")?;
    let mut contenders = vec![("outrigger", Kind::Outrigger(ours))];
    if let Some(other) = &options.compare {
        contenders.push(("compared", Kind::Outrigger(found(Some(other), "outrigger")?)));
    }
    if options.nginx {
        let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].map(Path::new);
        let nginx = places.into_iter().find(|place| place.is_file()).context("nginx is not installed")?;
        contenders.push(("nginx", Kind::Nginx(nginx.to_owned())));
    }
    Ok(contenders)
}

/// The program given, else the one of that name beside this one.
fn found(given: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    let file = match given {
        Some(file) => std::path::absolute(file)?,
        None => std::env::current_exe()?.with_file_name(name),
    };
    anyhow::ensure!(file.is_file(), "no program {}; build it, or give --{name} PATH", file.display());
    Ok(file)
}

struct Row {
    server: &'static str,
    mode: Mode,
    measured: Measured,
}

impl Row {
    fn instructions(&self) -> f64 {
        self.measured.per_request(self.measured.profile.instructions)
    }

    fn json(&self) -> Value {
        let Measured { workload, requests, profile, .. } = &self.measured;
        json!({
            "server": self.server,
            "mode": self.mode.name(),
            "workload": workload.name(),
            "requests": requests,
            "instructions": self.instructions(),
            "syscalls": self.measured.per_request(profile.syscalls),
            "clock_reads": self.measured.per_request(profile.clock_reads),
            "allocations": self.measured.per_request(profile.allocations),
        })
    }
}

/// Where the cost of a row comes from, as far as asked for.
fn details(row: &Row, top: Option<usize>, callers: &[String]) -> String {
    if top.is_none() && callers.is_empty() {
        return String::new();
    }
    let Row { server, mode, measured } = row;
    let mut text = format!("\n{server}, {}, {}, for each request:\n", mode.name(), measured.workload.name());
    if let Some(count) = top {
        text.push_str(&report::dearest(measured, count));
    }
    text.extend(callers.iter().map(|pattern| report::callers(measured, pattern)));
    text
}

/// One line a row; the others against the first server under the same mode and workload.
fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "for each request     mode    workload   instructions   against ours   syscalls   clock reads   allocations\n",
    );
    for row in rows {
        let Measured { workload, profile, .. } = &row.measured;
        let same = |other: &&Row| {
            other.server == "outrigger" && other.mode == row.mode && other.measured.workload == *workload
        };
        let ratio = rows.iter().find(same).filter(|first| first.server != row.server);
        let ratio = ratio
            .map_or_else(String::new, |first| format!("{:.3}", row.instructions() / first.instructions()));
        text.push_str(&format!(
            "{:20} {:7} {:10} {:12.0} {ratio:>14} {:10.2} {:13.2} {:13.2}\n",
            row.server,
            row.mode.name(),
            workload.name(),
            row.instructions(),
            row.measured.per_request(profile.syscalls),
            row.measured.per_request(profile.clock_reads),
            row.measured.per_request(profile.allocations),
        ));
    }
    text
}
