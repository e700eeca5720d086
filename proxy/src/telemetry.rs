//! What happened, told once: the record of a finished request, and everything that is derived from it.
//!
//! ```text
//! policy compiled → Telemetry::route, ::attempts, ::rules      names become numbers
//! request         → Worker::begin … Worker::finish(record, detail)
//!                      ├ series      outrigger_requests_total, http_server_request_duration_seconds
//!                      ├ decisions   the last 1,000 records
//!                      └ access_log  a JSON line, unless it was ok and not sampled
//! scrape          → Telemetry::scrape                           sums what the workers counted
//! ```
//!
//! Bounds: 2,000 series a family and an overflow, 1,000 records a worker (about 180 KiB), 4 MiB of log lines. A
//! worker never waits for a reader, a disk or another worker.

pub mod access_log;
mod alias;
pub mod cell;
pub mod chains;
pub mod decisions;
pub mod exposition;
mod json;
mod line;
pub mod log;
mod metrics;
pub mod names;
pub mod process;
mod procfs;
pub mod record;
mod series;
mod spool;
pub(crate) mod stamp;
pub mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use outrigger_config::sidecar;
use parking_lot::RwLock;

pub use self::access_log::{AccessLog, Detail};
pub use self::chains::Chains;
use self::decisions::Decision;
pub use self::exposition::{Collect, Exposition, Format};
pub use self::names::{NameId, Names, RuleSet};
pub use self::process::Process;
pub use self::record::{Direction, Flags, Method, Outcome, Proto, Record, Timings};
use self::series::Families;
pub use self::worker::{Attempt, AttemptSeries, RouteSeries, Worker};

/// The telemetry of the process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Telemetry {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    service: String,
    names: Names,
    families: Arc<Families>,
    slots: Box<[worker::Slot]>,
    access_log: AccessLog,
    process: Process,
    collectors: RwLock<Vec<Arc<dyn Collect>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Telemetry for `workers` workers of `service`.
    ///
    /// # Errors
    /// The access log could not be opened.
    pub fn new(workers: usize, service: &str, access_log: &sidecar::AccessLog) -> io::Result<Self> {
        let workers = workers.max(1);
        let shared = Shared {
            service: service.into(),
            names: Names::default(),
            families: Arc::new(Families::new(workers)),
            slots: (0..workers).map(|_| worker::Slot::default()).collect(),
            access_log: AccessLog::open(access_log, workers)?,
            process: Process::default(),
            collectors: RwLock::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The end of a worker nobody has yet; `None` when all are taken. Dropping it gives it back.
    #[must_use]
    pub fn worker(&self) -> Option<Worker> {
        let free = self.shared.slots.iter().position(|slot| !slot.taken.swap(true, Ordering::AcqRel))?;
        Some(Worker::new(free, Arc::clone(&self.shared)))
    }

    /// The series of a route. `dependency` is empty for routes to the app; `rules` names the rules of its chain in
    /// the order in which [`Record::rule`] and [`Record::shadow`] count them. Names that were known keep their
    /// numbers, and so their counters.
    pub fn route<'a>(
        &self,
        direction: Direction,
        route: &str,
        dependency: &str,
        rules: impl IntoIterator<Item = &'a str>,
    ) -> RouteSeries {
        let names = &self.shared.names;
        RouteSeries {
            direction,
            route: names.intern(route),
            dependency: names.intern(dependency),
            rules: names.rule_set(rules),
        }
    }

    /// The series of tries at a dependency; at the app if `dependency` is empty.
    #[must_use]
    pub fn attempts(&self, dependency: &str) -> AttemptSeries {
        AttemptSeries { dependency: self.shared.names.intern(dependency) }
    }

    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.shared.service
    }

    /// Handles for what belongs to the process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.shared.process
    }

    /// The access log.
    #[must_use]
    pub fn access_log(&self) -> &AccessLog {
        &self.shared.access_log
    }

    /// Requests begun and not finished.
    #[must_use]
    pub fn in_flight(&self, direction: Direction) -> u64 {
        let sum: i64 = self.shared.slots.iter().map(|slot| slot.in_flight.get(direction)).sum();
        u64::try_from(sum).unwrap_or(0)
    }

    /// Adds numbers to every scrape, for good.
    pub fn register(&self, collector: Arc<dyn Collect>) {
        self.shared.collectors.write().push(collector);
    }

    /// All metrics as text.
    #[must_use]
    pub fn scrape(&self, format: Format) -> String {
        let mut out = Exposition::new(format);
        metrics::collect(self, &mut out);
        self.shared.process.collect(&mut out);
        let collectors = self.shared.collectors.read().clone();
        for collector in collectors {
            collector.collect(&mut out);
        }
        out.finish()
    }

    /// The newest records as a JSON array, newest first: at most `limit` and at most 1,000.
    #[must_use]
    pub fn decisions(&self, limit: usize) -> Vec<u8> {
        let rings = self.shared.slots.iter().map(|slot| &slot.ring);
        let mut out = vec![b'['];
        for (index, decision) in decisions::merge(rings, limit).iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.write_decision(&mut out, decision);
        }
        out.push(b']');
        out
    }

    fn write_decision(&self, out: &mut Vec<u8>, decision: &Decision) {
        let detail = Detail { request_id: decision.request_id(), ..Detail::default() };
        line::write(out, &self.shared.service, &self.shared.names, &decision.record, &detail);
    }
}
