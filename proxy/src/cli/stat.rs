//! `outrigger stat`: how each route fares.
//!
//! Without `--window` the numbers are those since the sidecar started, and only the rate is of the last second;
//! with it everything is of that window.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use outrigger_filters::outcome::{Domain, Outcome};
use outrigger_filters::unit::Timespan;
use serde_json::{Value, json};

use super::client::{Address, Client, Error};
use super::samples::{self, Buckets, Sample};

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Columns, for people.
    #[default]
    Table,
    /// One JSON document, for scripts.
    Json,
}

/// Shows requests, rate, success and latency of each route.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The sidecar's admin address, HOST:PORT or unix:/path
    #[arg(long, env = "OUTRIGGER_ADMIN", default_value = "127.0.0.1:15000")]
    pub admin: Address,
    /// Count only what happens from now on for this long, such as 10s
    #[arg(long)]
    pub window: Option<Timespan>,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs the command.
pub async fn run(args: Args) -> ExitCode {
    match show(&args).await {
        Ok(text) => {
            // A reader that left early, such as `head`, is no failure.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "outrigger stat: {error}");
            error.exit_code()
        }
    }
}

async fn show(args: &Args) -> Result<String, Error> {
    let client = Client::new(args.admin.clone());
    let before = Routes::fetch(&client).await?;
    let window = args.window.map_or(Duration::from_secs(1), |window| window.0);
    tokio::time::sleep(window).await;
    let after = Routes::fetch(&client).await?;
    let rows = rows(&before, &after, window, args.window.is_some());
    Ok(match args.output {
        Output::Table => table(&rows),
        Output::Json => format!("{}\n", Value::from_iter(rows.iter().map(Row::json))),
    })
}

/// Direction, route and dependency.
type Id = [String; 3];

/// What one scrape says about each route.
#[derive(Debug, Default)]
pub(super) struct Routes(BTreeMap<Id, Route>);

#[derive(Clone, Debug, Default)]
struct Route {
    requests: f64,
    good: f64,
    rejected: f64,
    durations: Buckets,
}

impl Route {
    fn since(&self, before: &Self) -> Self {
        Self {
            requests: (self.requests - before.requests).max(0.0),
            good: (self.good - before.good).max(0.0),
            rejected: (self.rejected - before.rejected).max(0.0),
            durations: self.durations.since(&before.durations),
        }
    }
}

impl Routes {
    async fn fetch(client: &Client) -> Result<Self, Error> {
        let text = client.get("/metrics").await?;
        Ok(Self::of(&samples::parse(&String::from_utf8_lossy(&text))))
    }

    pub(super) fn of(samples: &[Sample]) -> Self {
        let mut routes = Self::default();
        for sample in samples {
            match sample.name.as_str() {
                "outrigger_requests_total" => {
                    let route = routes.entry(sample, ["direction", "route", "dependency"]);
                    let outcome = Outcome::ALL.iter().find(|known| known.label() == sample.label("outcome"));
                    route.requests += sample.value;
                    route.good += if outcome.is_some_and(|o| is_good(*o)) { sample.value } else { 0.0 };
                    route.rejected +=
                        if outcome.is_some_and(|o| o.is_refusal()) { sample.value } else { 0.0 };
                }
                "http_server_request_duration_seconds_bucket" => {
                    let route = routes.entry(sample, ["outrigger_direction", "http_route", "outrigger_dep"]);
                    route.durations.add(sample);
                }
                _ => {}
            }
        }
        routes
    }

    fn entry(&mut self, sample: &Sample, labels: [&str; 3]) -> &mut Route {
        let mut id = labels.map(|label| sample.label(label).to_owned());
        if sample.label("otel_metric_overflow") == "true" {
            "(others)".clone_into(&mut id[1]);
        }
        self.0.entry(id).or_default()
    }
}

/// The caller's own mistakes and its leaving are no failures of the service.
fn is_good(outcome: Outcome) -> bool {
    matches!(outcome.domain(), Domain::None | Domain::Client)
}

#[derive(Debug)]
struct Row {
    id: Id,
    requests: f64,
    rps: f64,
    success: Option<f64>,
    quantiles: [Option<f64>; 3],
    rejected: f64,
}

fn rows(before: &Routes, after: &Routes, window: Duration, only_window: bool) -> Vec<Row> {
    let nothing = Route::default();
    let row = |(id, total): (&Id, &Route)| {
        let recent = total.since(before.0.get(id).unwrap_or(&nothing));
        let rps = recent.requests / window.as_secs_f64().max(1e-3);
        let shown = if only_window { &recent } else { total };
        Row {
            id: id.clone(),
            requests: shown.requests,
            rps,
            success: (shown.requests > 0.0).then(|| 100.0 * shown.good / shown.requests),
            quantiles: [0.50, 0.95, 0.99].map(|share| shown.durations.quantile(share)),
            rejected: shown.rejected,
        }
    };
    after.0.iter().map(row).collect()
}

impl Row {
    fn json(&self) -> Value {
        let [direction, route, dependency] = &self.id;
        let [p50, p95, p99] = self.quantiles;
        json!({
            "direction": direction, "route": route, "dependency": dependency,
            "requests": self.requests, "rps": self.rps, "success_percent": self.success,
            "p50_seconds": p50, "p95_seconds": p95, "p99_seconds": p99, "rejected": self.rejected,
        })
    }

    fn cells(&self) -> Vec<String> {
        let [direction, route, dependency] = &self.id;
        let success = self.success.map_or_else(|| "-".into(), |percent| format!("{percent:.2}%"));
        let mut cells = vec![direction.clone(), route.clone(), dash(dependency)];
        cells.extend([format!("{:.0}", self.requests), format!("{:.1}", self.rps), success]);
        cells.extend(self.quantiles.map(seconds));
        cells.push(format!("{:.0}", self.rejected));
        cells
    }
}

fn table(rows: &[Row]) -> String {
    let head = ["DIR", "ROUTE", "DEPENDENCY", "REQUESTS", "RPS", "SUCCESS", "P50", "P95", "P99", "REJECTED"];
    columns(&head, 3, &rows.iter().map(Row::cells).collect::<Vec<_>>())
}

pub(super) fn dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.into() }
}

/// A duration as people say it.
pub(super) fn seconds(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(seconds) if seconds < 1.0 => format!("{:.1}ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2}s"),
    }
}

/// Lines up cells under their heads; the first `left` columns are text, the others numbers.
pub(super) fn columns(head: &[&str], left: usize, rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&name| name.into()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width =
        |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in all() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str =
        "outrigger_requests_total{direction=\"inbound\",route=\"a\",dependency=\"\",outcome=\"ok\"} 10\n";
    const AFTER: &str = "\
outrigger_requests_total{direction=\"inbound\",route=\"a\",dependency=\"\",outcome=\"ok\"} 27
outrigger_requests_total{direction=\"inbound\",route=\"a\",dependency=\"\",outcome=\"client_error\"} 1
outrigger_requests_total{direction=\"inbound\",route=\"a\",dependency=\"\",outcome=\"rate_limited\"} 2
http_server_request_duration_seconds_bucket{outrigger_direction=\"inbound\",http_route=\"a\",le=\"0.005\"} 30
http_server_request_duration_seconds_bucket{outrigger_direction=\"inbound\",http_route=\"a\",le=\"+Inf\"} 30
";

    fn shown(only_window: bool) -> String {
        let routes = |text| Routes::of(&samples::parse(text));
        table(&rows(&routes(BEFORE), &routes(AFTER), Duration::from_secs(2), only_window))
    }

    #[test]
    fn shows_totals_and_the_rate_of_the_last_moment() {
        assert_eq!(
            shown(false),
            "DIR      ROUTE  DEPENDENCY  REQUESTS   RPS  SUCCESS    P50    P95    P99  REJECTED\n\
             inbound  a      -                 30  10.0   93.33%  2.5ms  4.8ms  5.0ms         2\n"
        );
    }

    #[test]
    fn shows_only_the_window_if_asked() {
        assert!(shown(true).contains("inbound  a      -                 20  10.0   90.00%"));
    }
}
