//! `outrigger top`: what is happening now, by route and outcome, busiest first.
//!
//! Rates are differences of `/metrics`; latencies are those of the newest records of `/decisions`. On a terminal
//! the screen is redrawn until interrupted; otherwise, or with `--once`, tables follow each other or there is one.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use outrigger_filters::unit::Timespan;
use serde_json::Value;

use super::client::{Address, Client, Error};
use super::samples;
use super::stat::{columns, dash, seconds};

/// Shows requests a second and latency by route and outcome, live.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The sidecar's admin address, HOST:PORT or unix:/path
    #[arg(long, env = "OUTRIGGER_ADMIN", default_value = "127.0.0.1:15000")]
    pub admin: Address,
    /// Time between two looks
    #[arg(long, default_value = "2s")]
    pub every: Timespan,
    /// Print one table and end
    #[arg(long)]
    pub once: bool,
    /// Rows shown
    #[arg(long, default_value_t = 20)]
    pub rows: usize,
}

/// Runs the command until interrupted, or once.
pub async fn run(args: Args) -> ExitCode {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => ExitCode::SUCCESS,
        end = watch(&args) => match end {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "outrigger top: {error}");
                error.exit_code()
            }
        },
    }
}

async fn watch(args: &Args) -> Result<(), Error> {
    let client = Client::new(args.admin.clone());
    let every = args.every.0.max(Duration::from_millis(100));
    let redraw = io::stdout().is_terminal() && !args.once;
    let mut before = Look::take(&client).await?;
    loop {
        tokio::time::sleep(every).await;
        let after = Look::take(&client).await?;
        let screen = screen(&before, &after, every, args.rows);
        // Home and clear: what is drawn replaces what was.
        let clear = if redraw { "\x1b[H\x1b[2J" } else { "" };
        let gone = write!(io::stdout(), "{clear}{screen}").and_then(|()| io::stdout().flush()).is_err();
        if args.once || gone {
            return Ok(());
        }
        before = after;
    }
}

/// Direction, route, dependency, outcome.
type Id = [String; 4];

/// One look at a sidecar.
#[derive(Debug, Default)]
struct Look {
    requests: BTreeMap<Id, f64>,
    in_flight: f64,
    /// Breakers that are not closed, and why.
    trouble: Vec<String>,
    /// Milliseconds of the newest requests.
    totals: BTreeMap<Id, Vec<f64>>,
}

impl Look {
    async fn take(client: &Client) -> Result<Self, Error> {
        let metrics = client.get("/metrics").await?;
        let decisions = client.get("/decisions?limit=1000").await?;
        let decisions: Value =
            serde_json::from_slice(&decisions).map_err(|error| Error::Garbled(error.to_string()))?;
        let mut look = Self::of(&String::from_utf8_lossy(&metrics), &decisions);
        let state = client.get("/dependencies").await?;
        let state = serde_json::from_slice(&state).map_err(|error| Error::Garbled(error.to_string()))?;
        look.trouble = trouble(&state);
        Ok(look)
    }

    fn of(metrics: &str, decisions: &Value) -> Self {
        let mut look = Self::default();
        for sample in samples::parse(metrics) {
            match sample.name.as_str() {
                "outrigger_requests_total" => {
                    let id = ["direction", "route", "dependency", "outcome"]
                        .map(|label| sample.label(label).into());
                    *look.requests.entry(id).or_default() += sample.value;
                }
                "outrigger_in_flight" => look.in_flight += sample.value,
                _ => {}
            }
        }
        for record in decisions.as_array().into_iter().flatten() {
            let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let total = record.get("t").and_then(|t| t.get("total")).and_then(Value::as_f64);
            let id = [text("dir"), text("route"), text("dep"), text("outcome")];
            look.totals.entry(id).or_default().extend(total);
        }
        look
    }
}

fn screen(before: &Look, after: &Look, every: Duration, limit: usize) -> String {
    let rate = |id: &Id, count: &f64| {
        (count - before.requests.get(id).copied().unwrap_or(0.0)).max(0.0) / every.as_secs_f64()
    };
    let mut rates: Vec<(&Id, f64)> = after.requests.iter().map(|(id, count)| (id, rate(id, count))).collect();
    rates.retain(|(_, rate)| *rate > 0.0);
    rates.sort_by(|a, b| b.1.total_cmp(&a.1));
    // The empty sum of floats is minus zero.
    let all = rates.iter().fold(0.0, |all, (_, rate)| all + rate);
    let rows: Vec<Vec<String>> =
        rates.iter().take(limit).map(|(id, rate)| row(id, *rate, all, after)).collect();
    let head = ["DIR", "ROUTE", "DEPENDENCY", "OUTCOME", "RPS", "SHARE", "P50", "P99"];
    let table = columns(&head, 4, &rows);
    let trouble = after.trouble.iter().map(|line| format!("{line}\n")).collect::<String>();
    format!("{all:.1} requests/s, {:.0} in flight\n{trouble}{table}", after.in_flight)
}

/// A line for each breaker that is not closed, out of `/dependencies`.
fn trouble(state: &Value) -> Vec<String> {
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = state.get("dependencies").and_then(Value::as_array).into_iter().flatten();
    let sides =
        list.map(|side| (text(side, "name"), side)).chain(state.get("app").map(|app| ("app".into(), app)));
    let mut lines = Vec::new();
    for (name, side) in sides {
        let Some(breaker) = side.get("breaker") else { continue };
        let own = breaker.get("routes").and_then(Value::as_object).into_iter().flatten();
        let own = own.map(|(route, of)| (format!("{name}/{route}"), of));
        for (name, of) in breaker.get("all").map(|all| (name.clone(), all)).into_iter().chain(own) {
            let state = text(of, "state");
            if state != "closed" {
                let since = of.get("since").and_then(Value::as_f64).unwrap_or_default();
                let probe = of.get("next_probe").and_then(Value::as_f64);
                let probe = probe.map_or_else(String::new, |at| format!("; next probe in {at:.1}s"));
                lines.push(format!("BREAKER {name} {state} for {since:.1}s: {}{probe}", text(of, "reason")));
            }
        }
    }
    lines
}

fn row(id: &Id, rate: f64, all: f64, look: &Look) -> Vec<String> {
    let [direction, route, dependency, outcome] = id;
    let mut totals = look.totals.get(id).cloned().unwrap_or_default();
    totals.sort_by(f64::total_cmp);
    let mut cells = vec![direction.clone(), dash(route), dash(dependency), outcome.clone()];
    cells.extend([format!("{rate:.1}"), format!("{:.1}%", 100.0 * rate / all)]);
    cells.extend([0.50, 0.99].map(|share| seconds(nearest(&totals, share).map(|ms| ms / 1e3))));
    cells
}

/// The nearest rank.
fn nearest(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_each_breaker_that_is_not_closed_and_why() {
        let breaker = |state: &str| json!({ "state": state, "since": 3.21, "reason": "7 of 8 failed", "next_probe": 1.5 });
        let state = json!({
            "dependencies": [{ "name": "a", "breaker": { "all": breaker("closed"), "routes": { "r": breaker("open") } } }],
            "app": { "breaker": {} },
        });
        let line = "BREAKER a/r open for 3.2s: 7 of 8 failed; next probe in 1.5s";
        assert_eq!(trouble(&state), [line]);
    }

    fn look(ok: u32, limited: u32) -> Look {
        let name = "outrigger_requests_total{direction=\"inbound\",route=\"a\",dependency=\"\"";
        let metrics = format!(
            "{name},outcome=\"ok\"}} {ok}\n{name},outcome=\"rate_limited\"}} {limited}\n\
             outrigger_in_flight{{direction=\"inbound\"}} 3\n"
        );
        let record =
            |total| json!({ "dir": "inbound", "route": "a", "outcome": "ok", "t": { "total": total } });
        Look::of(&metrics, &json!([record(1.5), record(2.0), record(3_000.0)]))
    }

    #[test]
    fn shows_the_busiest_first() {
        assert_eq!(
            screen(&look(10, 5), &look(12, 11), Duration::from_secs(2), 20),
            "4.0 requests/s, 3 in flight\n\
             DIR      ROUTE  DEPENDENCY  OUTCOME       RPS  SHARE    P50    P99\n\
             inbound  a      -           rate_limited  3.0  75.0%      -      -\n\
             inbound  a      -           ok            1.0  25.0%  2.0ms  3.00s\n"
        );
    }

    #[test]
    fn shows_nothing_where_nothing_happens() {
        let screen = screen(&look(10, 5), &look(10, 5), Duration::from_secs(2), 20);
        assert!(screen.starts_with("0.0 requests/s, 3 in flight\n"), "{screen}");
        assert_eq!(screen.lines().count(), 2);
    }
}
