//! `cargo demo`: a service, a dependency with a primary and a replica, and a sidecar between them.
//!
//! The service and the dependency run in this process; the sidecar is the program people get. Its files lie in
//! `target/demo`, meant to be edited while traffic flows. What is printed is what to try, line by line; `--check`
//! runs the same lines and expects of each what the text beside it says, so that they cannot go stale.

mod files;
mod lines;
mod places;
mod service;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use self::places::Places;
use crate::process::{Running, this_port_or_free};
use crate::sidecar::Addresses;
use crate::upstream::{Config, Upstream};

/// How long the sidecar may take to listen.
const START: Duration = Duration::from_secs(20);

/// Builds the programs, starts everything and runs until the returned future is dropped.
///
/// With `check`, runs every printed line, says which did not do as promised and returns.
///
/// # Errors
/// When the build fails, something cannot be started, the sidecar ends by itself, or a checked line misbehaves.
pub async fn run(check: bool) -> anyhow::Result<()> {
    let places = Places::find()?;
    places.build()?;
    let primary = named("inventory-primary", 19001)?;
    let replica = named("inventory-replica", 19002)?;
    let addresses = Addresses {
        inbound: this_port_or_free(15006)?,
        outbound: this_port_or_free(15001)?,
        admin: this_port_or_free(15000)?,
    };
    let service = service::start(this_port_or_free(18080)?, addresses.outbound).await?;
    places.write("sidecar.yaml", &files::sidecar(addresses))?;
    places.write("policy.yaml", &files::policy(service.address, primary.address(), replica.address()))?;
    let mut sidecar = start(&places, addresses).await?;

    let lines = lines::all(&places, addresses);
    if check {
        return lines::check(&lines).await;
    }
    print!("{}", lines::guide(&lines, &places, addresses));
    let status = sidecar.end().await?;
    bail!("the sidecar ended by itself: {status}")
}

/// The ports are the same from demo to demo if they can be, so that the policy file stays as it is.
fn named(name: &str, port: u16) -> anyhow::Result<Upstream> {
    let listen = this_port_or_free(port)?;
    Upstream::start(Config { name: name.to_owned(), listen, ..Config::default() })
        .with_context(|| name.to_owned())
}

async fn start(places: &Places, addresses: Addresses) -> anyhow::Result<Running> {
    let mut command = Command::new(&places.outrigger);
    // A state directory of an earlier demo would have a policy with ports of its own.
    let state = places.dir.join("state");
    if state.is_dir() {
        std::fs::remove_dir_all(&state)?;
    }
    command.args(["proxy", "--config"]).arg(places.dir.join("sidecar.yaml")).current_dir(&places.dir);
    let mut sidecar = Running::start("the sidecar", &mut command)?;
    for address in [addresses.admin, addresses.inbound, addresses.outbound] {
        sidecar.accepts(address, START).await?;
    }
    Ok(sidecar)
}

/// A path as people type it: relative to where they are, if it is below that.
fn typed(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
