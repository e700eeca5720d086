//! From samples to a table, as text or Markdown, and JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Options;
use super::peer::{Mode, Peer};
use super::rounds::Sample;
use super::workload::Workload;
use crate::stats::median;

/// What a comparison found.
#[derive(Debug)]
pub struct Report {
    machine: Value,
    settings: Value,
    rows: Vec<Row>,
    skipped: Vec<(Peer, String)>,
}

/// Medians of one contender under one workload.
#[derive(Debug)]
struct Row {
    workload: Workload,
    contender: Option<(Peer, Mode)>,
    cpu_us: f64,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    /// Share of its core that it used.
    busy: f64,
    errors: u64,
    /// CPU per request of ours against this one's, as the median of the rounds.
    ours_to_this: Option<f64>,
    /// CPU per request of every round.
    rounds: Vec<f64>,
}

impl Report {
    pub(crate) fn new(
        options: &Options,
        machine: Value,
        samples: &[Sample],
        skipped: Vec<(Peer, String)>,
    ) -> Self {
        let settings = json!({
            "rounds": options.rounds, "seconds": options.seconds, "connections": options.connections,
        });
        let mut keys: Vec<_> = Vec::new();
        for sample in samples {
            let key = (sample.workload, sample.contender);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let rows = keys.into_iter().map(|(workload, contender)| Row::new(samples, workload, contender));
        Self { machine, settings, rows: rows.collect(), skipped }
    }

    /// Requests that failed, over everything.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.rows.iter().map(|row| row.errors).sum()
    }

    /// Everything, rounds included.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let skipped: Vec<Value> =
            self.skipped.iter().map(|(peer, why)| json!({ "peer": peer.to_string(), "why": why })).collect();
        let rows: Vec<Value> = self.rows.iter().map(Row::as_json).collect();
        json!({ "machine": self.machine, "settings": self.settings, "results": rows, "skipped": skipped })
    }

    /// A table for a terminal.
    #[must_use]
    pub fn as_text(&self) -> String {
        let mut text = String::new();
        let mut last = None;
        for row in &self.rows {
            if last != Some(row.workload) {
                last = Some(row.workload);
                let _ = writeln!(
                    text,
                    "\n{}\n  {:<22}{:>10}{:>12}{:>10}{:>10}{:>7}{:>13}",
                    row.workload, "", "CPU µs", "requests/s", "p50 µs", "p99 µs", "busy", "ours/this"
                );
            }
            let [cpu, rate, p50, p99, busy, ratio] = row.cells();
            let name = row.name();
            let _ = write!(text, "  {name:<22}{cpu:>10}{rate:>12}{p50:>10}{p99:>10}{busy:>7}{ratio:>13}");
            let _ = match row.errors {
                0 => writeln!(text),
                errors => writeln!(text, "  {errors} ERRORS"),
            };
        }
        self.skipped(&mut text);
        text
    }

    /// The same for a document.
    #[must_use]
    pub fn as_markdown(&self) -> String {
        let mut text = String::from(
            "| workload | proxy | CPU µs/request | requests/s | p50 µs | p99 µs | busy | ours/this |\n\
             |---|---|--:|--:|--:|--:|--:|--:|\n",
        );
        for row in &self.rows {
            let _ = writeln!(text, "| {} | {} | {} |", row.workload, row.name(), row.cells().join(" | "));
        }
        self.skipped(&mut text);
        text
    }

    fn skipped(&self, text: &mut String) {
        for (peer, why) in &self.skipped {
            let _ = writeln!(text, "\nskipped {peer}: {why}");
        }
    }
}

impl Row {
    fn new(samples: &[Sample], workload: Workload, contender: Option<(Peer, Mode)>) -> Self {
        let of = |contender: Option<(Peer, Mode)>| {
            samples.iter().filter(move |sample| sample.workload == workload && sample.contender == contender)
        };
        let ours = contender.map(|(_, mode)| (Peer::Outrigger, mode));
        let ratios: Vec<f64> = of(contender)
            .flat_map(|this| of(ours).filter(|ours| ours.round == this.round).map(move |ours| (ours, this)))
            .filter(|(ours, _)| ours.contender.is_some())
            .map(|(ours, this)| ours.cpu_us() / this.cpu_us())
            .collect();
        Self {
            workload,
            contender,
            cpu_us: median(of(contender).map(Sample::cpu_us)),
            per_second: median(of(contender).map(|sample| {
                #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
                let requests = sample.load.requests as f64;
                requests / sample.load.seconds
            })),
            p50_us: median(of(contender).map(|sample| sample.load.p50_us)),
            p99_us: median(of(contender).map(|sample| sample.load.p99_us)),
            busy: median(of(contender).map(|sample| sample.cpu.as_secs_f64() / sample.wall.as_secs_f64())),
            errors: of(contender).map(|sample| sample.load.errors).sum(),
            ours_to_this: (!ratios.is_empty()).then(|| median(ratios)),
            rounds: of(contender).map(Sample::cpu_us).collect(),
        }
    }

    fn name(&self) -> String {
        self.contender.map_or_else(|| "direct".to_owned(), |(peer, mode)| format!("{peer} ({mode})"))
    }

    fn cells(&self) -> [String; 6] {
        let measured = self.contender.is_some();
        let number = |shown: bool, text: String| if shown { text } else { "-".to_owned() };
        [
            number(measured, format!("{:.2}", self.cpu_us)),
            format!("{:.0}", self.per_second),
            format!("{:.0}", self.p50_us),
            format!("{:.0}", self.p99_us),
            number(measured, format!("{:.0}%", self.busy * 100.0)),
            self.ours_to_this.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}")),
        ]
    }

    fn as_json(&self) -> Value {
        json!({
            "workload": self.workload.name(),
            "peer": self.contender.map(|(peer, _)| peer.to_string()),
            "mode": self.contender.map(|(_, mode)| mode.to_string()),
            "cpu_us_per_request": self.cpu_us,
            "requests_per_second": self.per_second,
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "core_busy": self.busy,
            "errors": self.errors,
            "ours_to_this": self.ours_to_this,
            "cpu_us_per_request_by_round": self.rounds,
        })
    }
}
