//! The lines a person is asked to try, each with what it must show.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;
use tokio::time::timeout;

use super::places::Places;
use super::service::INVENTORY;
use super::typed;
use crate::sidecar::Addresses;

/// Bound on one line.
const PATIENCE: Duration = Duration::from_secs(30);

/// A shell line to try.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What it shows, for people.
    about: &'static str,
    command: String,
    /// What its output must hold.
    shows: &'static str,
}

/// Every line, in the order to try them.
pub(crate) fn all(places: &Places, addresses: Addresses) -> Vec<Line> {
    let Addresses { inbound, outbound, admin } = addresses;
    let (outrigger, policy) = (typed(&places.outrigger), typed(&places.dir.join("policy.yaml")));
    let line = |about, command, shows| Line { about, command, shows };
    vec![
        line("through the sidecar to the service", format!("curl -s http://{inbound}/v1/orders"), "paddle"),
        line(
            "the rate limit: 10 at once, then 5 a second",
            format!(
                "curl -s -o /dev/null -w '%{{http_code}}\\n' 'http://{inbound}/v1/orders?[1-30]' | sort | uniq -c"
            ),
            "429",
        ),
        line(
            "what a refusal looks like",
            format!("curl -si 'http://{inbound}/v1/orders?[1-20]' | tail -n 16"),
            "application/problem+json",
        ),
        line(
            "the service asks its dependency through the sidecar",
            format!("curl -s http://{inbound}/v1/stock"),
            "inventory-primary",
        ),
        line(
            "the outbound listener by Host",
            format!("curl -s -H 'Host: {INVENTORY}' http://{outbound}/echo/hello"),
            "/echo/hello",
        ),
        line(
            "the outbound listener as a proxy",
            format!("curl -s -x http://{outbound} http://{INVENTORY}/echo/hello"),
            "/echo/hello",
        ),
        line(
            "the same by environment",
            format!("http_proxy=http://{outbound} curl -s http://{INVENTORY}/echo/hello"),
            "/echo/hello",
        ),
        line(
            "a dependency that hangs: 504 after the 2 s of its timeout",
            format!("curl -si -x http://{outbound} http://{INVENTORY}/hang"),
            "504",
        ),
        line(
            "a host that no dependency names",
            format!("curl -si -x http://{outbound} http://unknown.internal/"),
            "404",
        ),
        line("metrics", format!("curl -s http://{admin}/metrics"), "outrigger_requests_total"),
        line("the policy in force", format!("curl -s http://{admin}/policy"), "generation"),
        line("what was decided, newest first", format!("curl -s http://{admin}/decisions"), "inventory"),
        line(
            "which policies meet a request, and why",
            format!("{outrigger} explain --policy {policy} --request 'GET /v1/orders'"),
            "list-orders",
        ),
        line(
            "check a policy before it is saved",
            format!("{outrigger} validate {policy} && echo valid"),
            "valid",
        ),
    ]
}

/// The page that is printed once everything runs.
pub(crate) fn guide(lines: &[Line], places: &Places, addresses: Addresses) -> String {
    let Addresses { inbound, outbound, admin } = addresses;
    let mut page = format!(
        "\nEverything runs.\n\n  inbound   http://{inbound}   before the sample service `orders`\n  \
         outbound  http://{outbound}   before its dependency `inventory`\n  \
         admin     http://{admin}   open http://{admin}/metrics\n  \
         control   not started: {}\n\n",
        places.control_says()
    );
    for Line { about, command, .. } in lines {
        let _ = writeln!(page, "# {about}\n{command}");
    }
    let _ = writeln!(
        page,
        "\nThe policy is {}: edit and save it, and try again.\nThe access log is {}.\nCtrl-C stops everything.",
        typed(&places.dir.join("policy.yaml")),
        typed(&places.dir.join("access.log")),
    );
    page
}

/// Runs every line and holds it to what it promises.
pub(crate) async fn check(lines: &[Line]) -> anyhow::Result<()> {
    let mut failed = 0;
    for line in lines {
        let output = output(&line.command).await.with_context(|| line.command.clone())?;
        let good = output.contains(line.shows);
        println!("{} {}", if good { "ok  " } else { "FAIL" }, line.command);
        if !good {
            failed += 1;
            println!("     should show `{}`, shows: {output}", line.shows);
        }
    }
    if failed > 0 {
        bail!("{failed} of {} lines did not do as promised", lines.len());
    }
    Ok(())
}

async fn output(command: &str) -> anyhow::Result<String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).kill_on_drop(true);
    // A proxy of the machine's own would stand between curl and the demo.
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        shell.env_remove(name);
    }
    let output = timeout(PATIENCE, shell.output()).await.context("it takes too long")??;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
