//! `outrigger explain`: which route and policies a request would meet, without sending it.

use std::path::PathBuf;
use std::process::ExitCode;

use http::{HeaderName, HeaderValue, Request};
use outrigger_config::LoadError;
use outrigger_config::plan::{Match, PathMatch, Route};

use super::{complain, print};
use crate::explain::{Explained, explain};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy file or directory
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Method and target, as in 'POST /v1/orders?x=1' or 'GET http://inventory.internal/v1/items'
    #[arg(long, value_name = "REQUEST")]
    request: String,
    /// A header field, as in 'x-tenant: acme'
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    headers: Vec<String>,
    /// As on the outbound listener: the host chooses the dependency (also if the target names a host)
    #[arg(long)]
    outbound: bool,
    /// How to report
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Human,
    Json,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let policy = match outrigger_config::load(&args.policy) {
        Ok(policy) => policy,
        Err(LoadError::Invalid(problems)) => return complain(problems.to_human(false).trim_end(), 1),
        Err(unreadable) => return complain(&unreadable.to_string(), 2),
    };
    let request = match request(args) {
        Ok(request) => request,
        Err(problem) => return complain(&problem, 2),
    };
    let outbound = args.outbound || request.uri().authority().is_some();
    match explain(&policy.plan, &request, outbound) {
        Ok(explained) if args.output == Output::Json => print(&format!("{:#}\n", json(&explained))),
        Ok(explained) => print(&human(&explained)),
        Err(refusal) => {
            print(&format!("refused before any policy: {refusal}\n"));
            ExitCode::from(1)
        }
    }
}

fn request(args: &Args) -> Result<Request<()>, String> {
    let written = args.request.trim();
    let (method, target) = written.split_once(' ').unwrap_or(("GET", written));
    let mut request = Request::builder()
        .method(method)
        .uri(target.trim())
        .body(())
        .map_err(|error| format!("`{}` is no request: {error}; write 'POST /v1/orders'", args.request))?;
    for field in &args.headers {
        let parsed = field.split_once(':').and_then(|(name, value)| {
            Some((HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(value.trim()).ok()?))
        });
        let (name, value) = parsed.ok_or_else(|| format!("`{field}` is no header; write 'name: value'"))?;
        request.headers_mut().append(name, value);
    }
    if request.uri().authority().is_none() && !request.headers().contains_key("host") {
        request.headers_mut().insert("host", HeaderValue::from_static("localhost"));
    }
    Ok(request)
}

fn human(explained: &Explained<'_>) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| text.push_str(&format!("{label:<12} {value}\n"));
    match explained.dependency {
        Some(dependency) => line("dependency", &dependency.name),
        None => line("side", "inbound, to the app"),
    }
    line("route", &explained.route.name);
    line("because", &because(&explained.route.matches));
    for passed in &explained.passed_over {
        line("not", &format!("{} ({})", passed.name, because(&passed.matches)));
    }
    for (order, gate) in explained.gates.iter().enumerate() {
        line(if order == 0 { "gates" } else { "then" }, gate);
    }
    if explained.gates.is_empty() {
        line("gates", "none");
    }
    for stage in &explained.stages {
        line("then", stage);
    }
    let timeouts = &explained.route.timeouts;
    line(
        "timeouts",
        &format!(
            "total {:?}, connect {:?}, first_byte {:?}, body_idle {:?}, stream_idle {:?}",
            timeouts.total, timeouts.connect, timeouts.first_byte, timeouts.body_idle, timeouts.stream_idle
        ),
    );
    text
}

fn json(explained: &Explained<'_>) -> serde_json::Value {
    serde_json::json!({
        "dependency": explained.dependency.map(|dependency| &dependency.name),
        "route": explained.route.name,
        "because": because(&explained.route.matches),
        "gates": explained.gates,
        "stages": explained.stages,
        "not": explained.passed_over.iter().map(|route: &&Route| &route.name).collect::<Vec<_>>(),
        "timeouts_ms": {
            "total": explained.route.timeouts.total.as_millis(),
            "connect": explained.route.timeouts.connect.as_millis(),
            "first_byte": explained.route.timeouts.first_byte.as_millis(),
        },
    })
}

fn because(matches: &Match) -> String {
    let mut parts = Vec::new();
    if !matches.methods.is_empty() {
        parts.push(format!("method is {}", matches.methods.join(" or ")));
    }
    match &matches.path {
        PathMatch::Any => {}
        PathMatch::Exact(path) => parts.push(format!("path is {path}")),
        PathMatch::Prefix(path) => parts.push(format!("path is {path} or below")),
        PathMatch::Regex(pattern) => parts.push(format!("path matches {pattern}")),
    }
    if !matches.hosts.is_empty() {
        parts.push(format!("host is one of {}", matches.hosts.len()));
    }
    parts.extend(matches.headers.iter().map(|field| format!("header {} matches", field.name)));
    parts.extend(matches.query.iter().map(|field| format!("query {} matches", field.name)));
    if parts.is_empty() { "it matches everything".to_owned() } else { parts.join(", ") }
}
