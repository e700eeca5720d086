//! Putting a policy in force, or not.
//!
//! Everything that can fail comes before the swap: reading, checking, compiling, binding ports. A failure
//! changes nothing that serves; it is logged, counted and shown at `/policy` with every problem and its place.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outrigger_config::Policy;
use outrigger_filters::clock::{Clock, Nanos};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::report::{Origin, Rejected};
use super::state::{Copy, StateDir};
use crate::server::accept::Acceptor;
use crate::server::connection::Door;
use crate::server::listener;
use crate::snapshot::{Snapshot, Trouble};
use crate::telemetry::log;
use crate::upstream::dns;
use crate::worker::Shared;

/// A process that lives this long after applying a policy did not die of it.
const SURVIVED: Duration = Duration::from_secs(30);

/// What is in force, for `/policy`.
#[derive(Debug)]
pub(crate) struct InForce {
    generation: u64,
    hash: String,
    origin: Origin,
    since: Nanos,
    document: Value,
}

/// The one who applies policies. Callers take turns.
pub(crate) struct Applier {
    pub(crate) shared: Arc<Shared>,
    acceptor: Acceptor,
    state: StateDir,
    turn: Mutex<()>,
    next_generation: AtomicU64,
    in_force: Mutex<Option<InForce>>,
    rejected: Mutex<Option<Rejected>>,
    listeners: Mutex<HashMap<SocketAddr, AbortHandle>>,
}

impl Applier {
    pub(crate) fn new(shared: &Arc<Shared>, acceptor: Acceptor) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            acceptor,
            state: StateDir::new(&shared.config.state_dir),
            turn: Mutex::default(),
            next_generation: AtomicU64::new(1),
            in_force: Mutex::default(),
            rejected: Mutex::default(),
            listeners: Mutex::default(),
        })
    }

    /// Reads the file again and applies what it says. Runs on a thread that may block.
    pub(crate) fn reload(self: &Arc<Self>, path: &Path) {
        match outrigger_config::load(path) {
            Ok(policy) => {
                let _ = self.apply(&policy, Origin::File);
            }
            Err(error) => self.reject(&Rejected::of(&error)),
        }
    }

    /// The first policy: the file's, else the last good one, else the newest one that did not kill the process.
    ///
    /// # Errors
    /// There is none to serve with.
    pub(crate) fn boot(self: &Arc<Self>, file: Option<&Path>) -> Result<(), String> {
        let mut trouble = None;
        if let Some(file) = file {
            match outrigger_config::load(file) {
                Ok(policy) => match self.apply(&policy, Origin::File) {
                    Ok(()) => return Ok(()),
                    Err(rejected) => trouble = Some(rejected),
                },
                Err(error) => {
                    let rejected = Rejected::of(&error);
                    self.reject(&rejected);
                    trouble = Some(rejected);
                }
            }
        }
        if file.is_some() && self.boot_from_state() {
            return Ok(());
        }
        match trouble {
            Some(rejected) if self.shared.resources.app.is_none() => Err(rejected.first),
            _ => self.boot_builtin(),
        }
    }

    fn boot_from_state(self: &Arc<Self>) -> bool {
        let copies = [(Copy::LastGood, Origin::LastGood), (Copy::Candidate, Origin::Candidate)];
        copies.into_iter().any(|(copy, origin)| {
            let Some(kept) = self.state.read(copy) else { return false };
            if copy == Copy::Candidate && !kept.survived {
                let (hint, generation) = ("the process died soon after applying it", kept.generation);
                log::warn("candidate policy not used", &[("generation", &generation), ("reason", &hint)]);
                return false;
            }
            let policy = outrigger_config::parse(kept.sources);
            policy.is_ok_and(|policy| self.apply(&policy, origin).is_ok())
        })
    }

    fn boot_builtin(self: &Arc<Self>) -> Result<(), String> {
        let policy = outrigger_config::builtin(None).map_err(|problems| problems.to_human(false))?;
        self.apply(&policy, Origin::Builtin).map_err(|rejected| rejected.first)
    }

    /// Puts `policy` in force.
    ///
    /// # Errors
    /// It could not be; what was in force still is.
    fn apply(self: &Arc<Self>, policy: &Policy, origin: Origin) -> Result<(), Rejected> {
        let _turn = self.turn.lock();
        let process = self.shared.resources.telemetry.process();
        if self.is_in_force(policy, origin) {
            self.accepted(origin);
            process.policy.from(origin.label());
            process.policy_reloads.bump("unchanged");
            return Ok(());
        }
        let began = self.shared.clock.now();
        let generation = self.next_generation.load(Ordering::Relaxed);
        let compiled = Snapshot::compile(&policy.plan, generation, &self.shared.resources);
        let snapshot = compiled.map_err(|found| self.refuse(policy, &found))?;
        let bound = self.bind_new(&snapshot).map_err(|found| self.refuse(policy, &[found]))?;
        self.next_generation.store(generation.wrapping_add(1), Ordering::Relaxed);
        let snapshot = Arc::new(snapshot);
        self.shared.live.store(Arc::clone(&snapshot));
        self.listen(&snapshot, bound);
        for cluster in snapshot.sides().filter_map(|side| side.cluster.as_ref()) {
            dns::follow(cluster, &self.shared.names);
        }
        let took = self.shared.clock.now().since(began);
        process.policy.applied(generation, &policy.hash, origin.label(), took);
        process.policy_reloads.bump("applied");
        self.accepted(origin);
        *self.in_force.lock() = Some(InForce {
            generation,
            hash: policy.hash.clone(),
            origin,
            since: self.shared.clock.now(),
            document: policy.document.clone(),
        });
        self.announce(policy, generation, origin, took);
        self.begin_probation(policy, generation, origin);
        Ok(())
    }

    /// The file is as it should be. A policy from elsewhere says nothing about the file, whose rejection stays
    /// to be seen.
    fn accepted(&self, origin: Origin) {
        if origin == Origin::File {
            *self.rejected.lock() = None;
        }
    }

    fn is_in_force(&self, policy: &Policy, origin: Origin) -> bool {
        let mut in_force = self.in_force.lock();
        let Some(known) = in_force.as_mut().filter(|known| known.hash == policy.hash) else { return false };
        known.origin = origin;
        true
    }

    fn announce(&self, policy: &Policy, generation: u64, origin: Origin, took: Duration) {
        let (routes, dependencies) = (policy.plan.inbound.routes.len(), policy.plan.dependencies.len());
        let (hash, took) = (policy.hash.get(..12).unwrap_or_default(), took.as_micros());
        log::info(
            "policy applied",
            &[
                ("generation", &generation),
                ("hash", &hash),
                ("source", &origin.label()),
                ("routes", &routes),
                ("dependencies", &dependencies),
                ("took_us", &took),
            ],
        );
        for warning in &policy.warnings.problems {
            log::warn(
                "policy warning",
                &[("file", &warning.file), ("line", &warning.line), ("message", &warning.message)],
            );
        }
    }

    fn refuse(&self, policy: &Policy, found: &[Trouble]) -> Rejected {
        let rejected = Rejected::of_diagnostics(&policy.diagnose(found));
        self.reject(&rejected);
        rejected
    }

    fn reject(&self, rejected: &Rejected) {
        let process = self.shared.resources.telemetry.process();
        process.policy.rejected(self.next_generation.load(Ordering::Relaxed));
        process.policy_reloads.bump("rejected");
        log::error(
            "policy refused; the one before it still serves",
            &[("problems", &rejected.count), ("first", &rejected.first)],
        );
        *self.rejected.lock() = Some(rejected.clone());
    }

    /// Binds ports that are not open yet.
    fn bind_new(&self, snapshot: &Snapshot) -> Result<Vec<(SocketAddr, TcpListener)>, Trouble> {
        let open = self.listeners.lock();
        let new = snapshot.listen.iter().filter(|(address, _)| !open.contains_key(address));
        new.map(|(address, name)| {
            let bound = listener::bind(*address);
            let place = vec!["dependencies".to_owned(), name.to_string(), "listen".to_owned()];
            bound
                .map(|bound| (*address, bound))
                .map_err(|error| (place, format!("cannot listen on {address}: {error}")))
        })
        .collect()
    }

    /// Starts the listeners of new ports and ends those that are not wanted any more.
    fn listen(&self, snapshot: &Snapshot, bound: Vec<(SocketAddr, TcpListener)>) {
        let mut open = self.listeners.lock();
        open.retain(|address, task| {
            let keep = snapshot.by_listener(*address).is_some();
            if !keep {
                task.abort();
            }
            keep
        });
        for (address, listener) in bound {
            let task = self.acceptor.clone().run(listener, Door::Dependency(address), None);
            open.insert(address, self.shared.names.handle.spawn(task).abort_handle());
        }
    }

    /// Keeps a copy now, and calls it good once it has served a while. A candidate that was booted begins again.
    fn begin_probation(self: &Arc<Self>, policy: &Policy, generation: u64, origin: Origin) {
        if !matches!(origin, Origin::File | Origin::Candidate) {
            return;
        }
        self.keep(Copy::Candidate, policy, generation, false);
        let (applier, policy) = (Arc::clone(self), policy.clone());
        self.shared.names.handle.spawn(async move {
            let probation = applier.shared.config.probation;
            let steps = [(SURVIVED.min(probation), Copy::Candidate), (probation, Copy::LastGood)];
            let began = tokio::time::Instant::now();
            for (after, copy) in steps {
                tokio::time::sleep_until(began + after).await;
                if applier.generation() != generation {
                    return;
                }
                applier.keep(copy, &policy, generation, true);
            }
            applier.shared.resources.telemetry.process().policy.last_good(generation);
            log::info("policy is last good", &[("generation", &generation)]);
        });
    }

    /// The process ends because it was told to: it has not died of its policy.
    pub(crate) fn stopped(&self) {
        let _turn = self.turn.lock();
        if let Err(error) = self.state.survived(Copy::Candidate) {
            log::warn("cannot note in the copy of the policy that it did no harm", &[("error", &error)]);
        }
    }

    fn keep(&self, copy: Copy, policy: &Policy, generation: u64, survived: bool) {
        if let Err(error) = self.state.keep(copy, policy, generation, survived) {
            log::warn(
                "cannot keep a copy of the policy; a restart with a bad file will not find it",
                &[("state_dir", &self.shared.config.state_dir.display()), ("error", &error)],
            );
        }
    }

    fn generation(&self) -> u64 {
        self.in_force.lock().as_ref().map_or(0, |known| known.generation)
    }

    /// `/policy`
    pub(crate) fn show(&self) -> Value {
        let rejected = self.rejected.lock().as_ref().map(|rejected| {
            json!({ "at": crate::telemetry::stamp::Stamp(rejected.at_ms).to_string(), "problems": rejected.problems })
        });
        let in_force = self.in_force.lock();
        let Some(known) = &*in_force else { return json!({ "rejected": rejected }) };
        json!({
            "service": self.shared.resources.telemetry.service(),
            "generation": known.generation,
            "hash": known.hash,
            "source": known.origin.label(),
            "age_seconds": self.shared.clock.now().since(known.since).as_secs(),
            "document": known.document,
            "rejected": rejected,
        })
    }
}
