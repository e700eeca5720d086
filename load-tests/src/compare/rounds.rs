//! The measurements themselves, in turns.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

use super::Options;
use super::load::Generator;
use super::parse::Load;
use super::peer::{Contender, Mode, Peer};
use super::workload::Workload;
use crate::process::cpu_time;

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) workload: Workload,
    pub(crate) round: u32,
    /// Absent: the upstream was asked directly.
    pub(crate) contender: Option<(Peer, Mode)>,
    pub(crate) load: Load,
    /// CPU time of the contender over the run.
    pub(crate) cpu: Duration,
    /// Wall time over the same.
    pub(crate) wall: Duration,
}

impl Sample {
    /// User and system time for one request, in µs.
    pub(crate) fn cpu_us(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
        let requests = self.load.requests as f64;
        self.cpu.as_secs_f64() * 1e6 / requests
    }
}

/// A turn: who is asked what.
struct Turn<'a> {
    workload: Workload,
    contender: Option<&'a Contender>,
    address: SocketAddr,
}

/// Measures every contender under every workload, `rounds` times over.
pub(crate) async fn run(
    options: &Options,
    contenders: &[Contender],
    upstream: SocketAddr,
    dir: &Path,
) -> anyhow::Result<Vec<Sample>> {
    let generator = Generator::new(options.connections, dir)?;
    let turns = turns(options, contenders, upstream);
    eprintln!("warming up");
    for turn in &turns {
        generator.run(turn.workload, turn.address, 1).await.with_context(|| turn.to_string())?;
    }
    let mut samples = Vec::new();
    let total = turns.len() * options.rounds as usize;
    for round in 1..=options.rounds {
        for turn in &turns {
            let sample = measure(turn, round, &generator, options.seconds).await;
            let sample = sample.with_context(|| turn.to_string())?;
            let (cpu, p99, errors) = (sample.cpu_us(), sample.load.p99_us, sample.load.errors);
            samples.push(sample);
            let done = samples.len();
            eprintln!("[{done}/{total}] {turn}: {cpu:.2} µs CPU, p99 {p99:.0} µs, {errors} errors");
        }
    }
    Ok(samples)
}

fn turns<'a>(options: &Options, contenders: &'a [Contender], upstream: SocketAddr) -> Vec<Turn<'a>> {
    let mut turns = Vec::new();
    for &workload in &options.workloads {
        for mode in &options.modes {
            for contender in contenders.iter().filter(|contender| contender.mode == *mode) {
                let address = if workload == Workload::H2 { contender.h2 } else { Some(contender.http1) };
                turns.extend(address.map(|address| Turn { workload, contender: Some(contender), address }));
            }
        }
        if workload == Workload::Light {
            turns.push(Turn { workload, contender: None, address: upstream });
        }
    }
    turns
}

async fn measure(turn: &Turn<'_>, round: u32, generator: &Generator, seconds: u32) -> anyhow::Result<Sample> {
    let used = || turn.contender.map_or(Ok(Duration::ZERO), |contender| cpu_time(contender.pid()));
    let (cpu, begin) = (used()?, Instant::now());
    let load = generator.run(turn.workload, turn.address, seconds).await?;
    let (wall, cpu) = (begin.elapsed(), used()?.saturating_sub(cpu));
    let contender = turn.contender.map(|contender| (contender.peer, contender.mode));
    Ok(Sample { workload: turn.workload, round, contender, load, cpu, wall })
}

impl std::fmt::Display for Turn<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.contender {
            Some(contender) => {
                write!(formatter, "{} · {} ({})", self.workload, contender.peer, contender.mode)
            }
            None => write!(formatter, "{} · direct", self.workload),
        }
    }
}
