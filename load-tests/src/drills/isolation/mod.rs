//! Two dependencies, one in trouble: the other must not notice.
//!
//! A p99 is compared with one under the same load on a neighbour that is well, because the load has its price on a
//! machine with few cores, with which no sidecar can do anything. Troubles take turns in short windows and medians over
//! windows are compared, so that what else the machine does falls on all of them; what misses its bound is measured
//! again before it is said to.

mod alert;
mod trouble;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use self::alert::Alert;
use self::trouble::{NEIGHBOUR, SECURED, Trouble};
use self::window::{Windows, noise};
use super::Options;
use super::caller::{Ask, Caller};
use super::load::Load;
use super::verdict::Verdict;
use crate::sidecar::Sidecar;
use crate::upstream::{Config, Manner, Upstream};

const HOST: &str = "quiet.internal";
const RATE: u32 = 200;
/// What the neighbour may have in flight; its load fills that in no time.
const MAX_IN_FLIGHT: u32 = 64;
/// For trouble to take hold, and of one window.
const WARM: Duration = Duration::from_millis(250);
const WINDOW: Duration = Duration::from_millis(500);
/// Windows of one turn.
const WINDOWS: u32 = 2;
/// Times that troubles which miss their bound are measured again.
const AGAIN: u32 = 3;
/// For callers that left to be noticed.
const SETTLE: Duration = Duration::from_millis(50);
/// New connections while a trouble lasts.
const CONNECTIONS: u32 = 2000;

/// An authority that signed nothing: for a policy with TLS to be whole. Its key was thrown away.
const CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBejCCAR+gAwIBAgIUJj7GktXlXeoMx7g9GF0wahKxvuEwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGZHJpbGxzMCAXDTI2MTEyMjAyNTM1MVoYDzIxMjYxMDI5MDI1
MzUxWjARMQ8wDQYDVQQDDAZkcmlsbHMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASAfsyo2uI6KpoSKgI6wfH6S+tEntpdxPo8OAYqR5/8/ulDZybKruQOae2sgK73
iylct3vlIXQPkzx29kx9ootlo1MwUTAdBgNVHQ4EFgQUzpzNYRbGq2MgowuMqMUV
2TMTuM8wHwYDVR0jBBgwFoAUzpzNYRbGq2MgowuMqMUV2TMTuM8wDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA/Uf4Z8nWt+vl93mUNwYL0UaZd30h
7zrTCoFhaa6XQfECIQCr5u5EjpjDZ6bYGEdlIPXHHOxUUzQaPCK1NXJ8oBo9LQ==
-----END CERTIFICATE-----
";

/// What the drill keeps running.
struct Stage {
    sidecar: Sidecar,
    quiet: Upstream,
    neighbour: Upstream,
    alert: Alert,
}

/// What was seen under one trouble.
#[derive(Default)]
struct Seen {
    windows: Windows,
    /// The neighbour's calls that ended, and those of them that its limit refused.
    calls: usize,
    refused: usize,
}

pub(crate) async fn run(options: &Options, dir: &Path) -> anyhow::Result<Verdict> {
    let stage = Stage::set(&options.outrigger, dir).await?;
    let (mut alone, mut seen) = (Windows::default(), BTreeMap::<Trouble, Seen>::new());
    stage.windows(&mut alone).await;
    for _ in 0..options.rounds {
        for trouble in Trouble::ALL {
            stage.measure(trouble, seen.entry(trouble).or_default()).await;
        }
    }
    for _ in 0..AGAIN {
        let noticed = Trouble::ALL.into_iter().filter(|trouble| !unnoticed(&seen, *trouble));
        let again: BTreeSet<Trouble> =
            noticed.flat_map(|trouble| [trouble.beside(), Some(trouble)]).flatten().collect();
        for _ in 0..options.rounds {
            for trouble in &again {
                stage.measure(*trouble, seen.entry(*trouble).or_default()).await;
            }
        }
    }
    Ok(judge(&alone, &seen, &stage, options.rounds * WINDOWS))
}

impl Stage {
    async fn set(program: &Path, dir: &Path) -> anyhow::Result<Self> {
        let (quiet, neighbour) = (Upstream::start(Config::default())?, Upstream::start(Config::default())?);
        let alert = Alert::start().await?;
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("ca.pem"), CA)?;
        let policy = policy(quiet.address(), neighbour.address(), alert.address);
        let sidecar = Sidecar::start(program, dir, &policy, None).await?;
        Ok(Self { sidecar, quiet, neighbour, alert })
    }

    /// B's calls of some windows, after a while of the same that is not looked at but for what failed in it.
    async fn windows(&self, windows: &mut Windows) {
        let load = Load::start(Caller::kept(self.sidecar.addresses.outbound), RATE, |_| Ask::get(HOST, "/"));
        sleep(WARM).await;
        windows.only_bad(&load.take());
        for _ in 1..WINDOWS {
            sleep(WINDOW).await;
            windows.add(&load.take());
        }
        sleep(WINDOW).await;
        windows.add(&load.finish().await);
    }

    async fn measure(&self, trouble: Trouble, seen: &mut Seen) {
        let crowd = u128::from(CONNECTIONS) * 1000 / (WARM + WINDOW * WINDOWS).as_millis();
        let crowd = u32::try_from(crowd).unwrap_or(u32::MAX);
        let load = trouble.begin(self.sidecar.addresses.outbound, &self.neighbour, crowd);
        self.windows(&mut seen.windows).await;
        let calls = load.take();
        seen.calls += calls.len();
        seen.refused += calls.iter().filter(|call| call.refused_by("isolation")).count();
        // Its callers leave with the load; what they held is free again before the next trouble.
        drop(load);
        self.neighbour.turn(Manner::Scripted);
        sleep(SETTLE).await;
    }
}

fn policy(quiet: SocketAddr, neighbour: SocketAddr, secured: SocketAddr) -> String {
    format!(
        "version: 1
dependencies:
  quiet:
    hosts: [{HOST}]
    endpoints: [{{ address: \"{quiet}\" }}]
    timeouts: {{ total: 1s }}
  neighbour:
    hosts: [{NEIGHBOUR}]
    endpoints: [{{ address: \"{neighbour}\" }}]
    timeouts: {{ total: 60s, first_byte: 60s }}
    isolation: {{ max_in_flight: {MAX_IN_FLIGHT} }}
  secured:
    hosts: [{SECURED}]
    endpoints: [{{ address: \"{secured}\" }}]
    tls: {{ server_name: {SECURED}, ca: ca.pem }}
    isolation: {{ max_in_flight: {MAX_IN_FLIGHT} }}
"
    )
}

/// Whether B's p99 stays within its bound; loads that others are compared with have none.
fn unnoticed(seen: &BTreeMap<Trouble, Seen>, trouble: Trouble) -> bool {
    let Some(beside) = trouble.beside() else { return true };
    let (Some(troubled), Some(beside)) = (seen.get(&trouble), seen.get(&beside)) else { return false };
    troubled.windows.p99() <= beside.windows.most(noise_of(seen))
}

/// The noise of the machine: troubles are left out of it, or they would excuse themselves.
fn noise_of(seen: &BTreeMap<Trouble, Seen>) -> f64 {
    let well = seen.iter().filter(|(trouble, _)| trouble.beside().is_none());
    noise(well.map(|(_, seen)| &seen.windows))
}

fn judge(alone: &Windows, seen: &BTreeMap<Trouble, Seen>, stage: &Stage, windows: u32) -> Verdict {
    let mut verdict = Verdict::new("isolation: a neighbour in trouble");
    verdict.note(format!(
        "{RATE} calls a second to a quiet dependency; medians of {windows} windows of {WINDOW:?} or more"
    ));
    verdict.note("a p99 is held to that under the same load on a neighbour that is well, for load and sidecar share the");
    verdict.note("cores; it may be 5 % or 1 ms more, and the noise: what windows of the same load differ by");
    verdict.info(
        "noise: quartiles of p99 with a neighbour that is well",
        format_args!("{:.2} ms", noise_of(seen)),
    );
    verdict.info("alone: p50 and p99", told(alone));
    for (trouble, Seen { windows, calls, refused }) in seen {
        let name = trouble.told();
        let beside = trouble.beside().and_then(|beside| seen.get(&beside));
        match beside {
            None => verdict.info(format!("{name}: p50 and p99"), told(windows)),
            Some(beside) => {
                let most = format!("p99 ≤ {:.2} ms", beside.windows.most(noise_of(seen)));
                verdict.must(format!("{name}: p50 and p99"), told(windows), most, unnoticed(seen, *trouble));
            }
        }
        verdict.none(format!("{name}: errors and refusals of {}", windows.calls), &windows.bad);
        if trouble.fills() {
            verdict.must(format!("{name}: its calls refused at its limit"), refused, "some", *refused > 0);
        } else {
            verdict.info(format!("{name}: its calls"), calls);
        }
    }
    verdict.must("TLS handshakes that failed", stage.alert.failed(), "some", stage.alert.failed() > 0);
    verdict.info("calls that reached the quiet dependency", stage.quiet.requests());
    verdict
}

fn told(windows: &Windows) -> String {
    format!("{:.2} {:.2} ms", windows.p50(), windows.p99())
}
