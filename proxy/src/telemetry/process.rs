//! Numbers of the process as a whole: handles that other parts bump, and their export.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::cell::{Counter, Gauge};
use super::exposition::{Collect, Exposition};
use super::procfs;
use super::stamp::Stamp;

/// Totals by reason. Reasons are words of the program, which is what `&'static str` says.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<&'static str, u64>>);

impl Tally {
    /// One more for `reason`.
    pub fn bump(&self, reason: &'static str) {
        let mut counts = self.0.lock();
        let count = counts.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// The total of `reason` so far.
    #[must_use]
    pub fn get(&self, reason: &str) -> u64 {
        self.0.lock().get(reason).copied().unwrap_or(0)
    }

    fn collect(&self, out: &mut Exposition, name: &'static str, help: &'static str, label: &str) {
        for (reason, count) in self.0.lock().iter() {
            out.counter(name, help, &[(label, reason)], *count);
        }
    }
}

/// What is in force, for gauges; see [`Process::policy`].
#[derive(Debug, Default)]
pub struct PolicyStatus(Mutex<Policy>);

#[derive(Debug, Default)]
struct Policy {
    applied: Option<Applied>,
    rejected: Option<u64>,
    last_good: Option<u64>,
}

#[derive(Clone, Debug)]
struct Applied {
    generation: u64,
    hash: String,
    source: &'static str,
    took: Duration,
    at_ms: u64,
}

impl PolicyStatus {
    /// A policy is in force since now; `took` is how long it took to compile and swap.
    pub fn applied(&self, generation: u64, hash: &str, source: &'static str, took: Duration) {
        let applied = Applied { generation, hash: hash.into(), source, took, at_ms: Stamp::now().0 };
        self.0.lock().applied = Some(applied);
    }

    /// The policy in force has turned out to be what another source says, too.
    pub fn from(&self, source: &'static str) {
        if let Some(applied) = &mut self.0.lock().applied {
            applied.source = source;
        }
    }

    /// A policy was refused; the one before it still serves.
    pub fn rejected(&self, generation: u64) {
        self.0.lock().rejected = Some(generation);
    }

    /// A policy passed its probation.
    pub fn last_good(&self, generation: u64) {
        self.0.lock().last_good = Some(generation);
    }
}

const GENERATION: (&str, &str) = ("outrigger_policy_generation", "Generation of the policy in each state.");

impl Collect for PolicyStatus {
    fn collect(&self, out: &mut Exposition) {
        let policy = self.0.lock();
        let Policy { applied, rejected, last_good } = &*policy;
        let applied_generation = applied.as_ref().map(|applied| applied.generation);
        for (state, generation) in
            [("applied", applied_generation), ("rejected", *rejected), ("last_good", *last_good)]
        {
            if let Some(generation) = generation {
                out.gauge(GENERATION.0, GENERATION.1, &[("state", state)], generation as f64);
            }
        }
        if let Some(applied) = applied {
            applied.collect(out);
        }
    }
}

impl Applied {
    fn collect(&self, out: &mut Exposition) {
        let generation = self.generation.to_string();
        let labels = [("generation", generation.as_str()), ("hash", &self.hash)];
        out.gauge("outrigger_policy_info", "The policy in force.", &labels, 1.0);
        let age = Stamp::now().0.saturating_sub(self.at_ms) as f64 / 1e3;
        out.gauge("outrigger_policy_age_seconds", "Time since the policy in force was applied.", &[], age);
        let help = "How long it took to compile and apply the policy in force.";
        out.gauge("outrigger_policy_apply_seconds", help, &[], self.took.as_secs_f64());
        let help = "Where the policy in force came from.";
        out.gauge("outrigger_policy_source", help, &[("source", self.source)], 1.0);
    }
}

/// Handles for what belongs to no route and no dependency.
#[derive(Debug, Default)]
pub struct Process {
    /// `outrigger_policy_*`: what is in force.
    pub policy: PolicyStatus,
    /// `outrigger_policy_reloads_total{result}`: `applied`, `unchanged`, `rejected`, …
    pub policy_reloads: Tally,
    /// `outrigger_connections{listener="inbound"}`
    pub connections_inbound: Gauge,
    /// `outrigger_connections{listener="outbound"}`
    pub connections_outbound: Gauge,
    /// `outrigger_connections{listener="admin"}`
    pub connections_admin: Gauge,
    /// `outrigger_connections_refused_total{reason}`
    pub connections_refused: Tally,
    /// `outrigger_malformed_total{reason}`: requests refused by the parser or the framing rules.
    pub malformed: Tally,
    /// `outrigger_panics_total`
    pub panics: Counter,
    /// `outrigger_tls_cert_expiry_seconds{name}`
    pub tls_expiry: Expiries,
}

/// When certificates end, by a name from the configuration.
#[derive(Debug, Default)]
pub struct Expiries(Mutex<BTreeMap<String, i64>>);

impl Expiries {
    /// The certificate called `name` ends at `unix_seconds`.
    pub fn set(&self, name: &str, unix_seconds: i64) {
        self.0.lock().insert(name.into(), unix_seconds);
    }
}

impl Collect for Process {
    fn collect(&self, out: &mut Exposition) {
        let Self {
            policy,
            policy_reloads,
            connections_inbound,
            connections_outbound,
            connections_admin,
            connections_refused,
            malformed,
            panics,
            tls_expiry,
        } = self;
        policy.collect(out);
        let help = "Attempts to apply a policy.";
        policy_reloads.collect(out, "outrigger_policy_reloads_total", help, "result");
        let listeners = [
            ("inbound", connections_inbound),
            ("outbound", connections_outbound),
            ("admin", connections_admin),
        ];
        for (listener, gauge) in listeners {
            let level = gauge.get() as f64;
            out.gauge(
                "outrigger_connections",
                "Open accepted connections.",
                &[("listener", listener)],
                level,
            );
        }
        let help = "Connections refused before a request.";
        connections_refused.collect(out, "outrigger_connections_refused_total", help, "reason");
        malformed.collect(out, "outrigger_malformed_total", "Requests refused as malformed.", "reason");
        out.counter("outrigger_panics_total", "Panics caught.", &[], panics.get());
        let now = (Stamp::now().0 / 1_000) as f64;
        for (name, end) in tls_expiry.0.lock().iter() {
            let help = "Time until the certificate ends; negative once it has.";
            out.gauge("outrigger_tls_cert_expiry_seconds", help, &[("name", name)], *end as f64 - now);
        }
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        out.gauge("outrigger_build_info", "The running program.", &version, 1.0);
        procfs::collect(out);
    }
}
