//! One thread that carries requests, and what it keeps for itself.
//!
//! A worker shares nothing that is written on the request path: its pools, timers, random numbers and counters
//! are its own, and the policy reaches it as a snapshot that it takes over when it next looks.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use outrigger_config::sidecar::Sidecar;
use outrigger_filters::balance::{self, By};
use outrigger_filters::clock::{Clock, Nanos, SystemClock, wall_now};

use crate::hygiene::network::Trust;
use crate::hygiene::random::Random;
use crate::pipeline::lineage::Lineage;
use crate::pipeline::outflow::Outflow;
use crate::pipeline::parked::{self, Parked, Parking};
use crate::snapshot::{Live, Resources, Side, Snapshot};
use crate::telemetry;
use crate::timer::{Timer, Timers};
use crate::upstream::cluster::Cluster;
use crate::upstream::dns::Names;
use crate::upstream::line::Line;
use crate::upstream::pool::{Bounds, EndpointPool};

/// What all workers and the service threads share.
pub(crate) struct Shared {
    pub(crate) config: Sidecar,
    pub(crate) clock: SystemClock,
    pub(crate) trust: Trust,
    pub(crate) resources: Resources,
    pub(crate) live: Live,
    pub(crate) names: Names,
    pub(crate) lineage: Arc<Lineage>,
    /// By which the process knows its own requests.
    pub(crate) self_token: String,
    /// Accepted connections, all workers.
    pub(crate) connections: AtomicUsize,
    /// Those of them that have carried a request.
    pub(crate) serving: AtomicUsize,
    /// Not ready, keep-alive off, still accepting.
    pub(crate) draining: AtomicBool,
}

/// Spawns on the worker's own thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// One worker. Lives on its thread.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: SystemClock,
    pub(crate) telemetry: telemetry::Worker,
    pub(crate) random: RefCell<Random>,
    timers: Rc<Timers>,
    local: RefCell<Rc<Local>>,
    pools: RefCell<HashMap<u64, Rc<EndpointPool>>>,
    /// By the name of the dependency.
    lines: RefCell<HashMap<Arc<str>, Rc<Line>>>,
    /// Clusters of hosts that nobody named, by host and port.
    passing: RefCell<HashMap<String, Rc<Lane>>>,
    /// Wall time at the clock's zero, in milliseconds; set again every second.
    wall_base: Cell<u64>,
    connections: RefCell<Connections>,
    parking: RefCell<Parking>,
}

/// A snapshot as this worker uses it.
pub(crate) struct Local {
    number: u64,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) inbound: Rc<Bound>,
    pub(crate) dependencies: Vec<Rc<Bound>>,
    /// The way in to all hosts nobody named.
    pub(crate) pass: Option<Rc<Line>>,
}

/// Which side of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    App,
    /// The dependency of this number.
    Dependency(usize),
    /// Hosts nobody named.
    Pass,
}

/// One side of a snapshot, with this worker's way to its upstream.
pub(crate) struct Bound {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) at: At,
    pub(crate) lane: Option<Rc<Lane>>,
    /// The way in, where calls are isolated.
    pub(crate) line: Option<Rc<Line>>,
}

impl Bound {
    pub(crate) fn side(&self) -> &Side {
        let found = match self.at {
            At::App => None,
            At::Dependency(at) => self.snapshot.dependencies.get(at),
            At::Pass => self.snapshot.pass.as_ref(),
        };
        found.unwrap_or(&self.snapshot.inbound)
    }
}

/// This worker's pools for one cluster.
pub(crate) struct Lane {
    pub(crate) cluster: Arc<Cluster>,
    by: By,
    /// The pools of the endpoints, and of which change of theirs.
    seen: RefCell<(Option<u64>, Vec<Rc<EndpointPool>>)>,
    next: Cell<usize>,
}

/// Connections to wake when the worker drains.
#[derive(Default)]
struct Connections {
    next: u64,
    wakers: HashMap<u64, Waker>,
}

impl Worker {
    pub(crate) fn new(shared: &Arc<Shared>, telemetry: telemetry::Worker) -> Rc<Self> {
        let clock = shared.clock;
        let (number, snapshot) = (shared.live.number(), shared.live.load());
        let worker = Rc::new(Self {
            shared: Arc::clone(shared),
            clock,
            telemetry,
            random: RefCell::new(Random::from_os()),
            timers: Timers::new(clock),
            local: RefCell::new(Rc::new(Local {
                number,
                inbound: Rc::new(Bound {
                    snapshot: Arc::clone(&snapshot),
                    at: At::App,
                    lane: None,
                    line: None,
                }),
                snapshot: Arc::clone(&snapshot),
                dependencies: Vec::new(),
                pass: None,
            })),
            lines: RefCell::default(),
            pools: RefCell::default(),
            passing: RefCell::default(),
            wall_base: Cell::new(0),
            connections: RefCell::default(),
            parking: RefCell::default(),
        });
        worker.set_wall();
        *worker.local.borrow_mut() = worker.take_over(number, snapshot);
        worker
    }

    /// The policy in force. One look a request, so a request sees one policy.
    pub(crate) fn local(&self) -> Rc<Local> {
        let number = self.shared.live.number();
        {
            let known = self.local.borrow();
            if known.number == number {
                return Rc::clone(&known);
            }
        }
        let local = self.take_over(number, self.shared.live.load());
        *self.local.borrow_mut() = Rc::clone(&local);
        local
    }

    pub(crate) fn timer(&self) -> Timer {
        self.timers.timer()
    }

    pub(crate) fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// Milliseconds since the Unix epoch at `at`.
    pub(crate) fn wall_ms(&self, at: Nanos) -> u64 {
        self.wall_base.get().wrapping_add(at.0 / 1_000_000)
    }

    /// The lane of a host nobody named.
    pub(crate) fn passing(
        &self,
        authority: &str,
        make: impl FnOnce() -> Option<Arc<Cluster>>,
    ) -> Option<Rc<Lane>> {
        if let Some(known) = self.passing.borrow().get(authority) {
            return Some(Rc::clone(known));
        }
        let lane = Rc::new(Lane::new(make()?, By::default()));
        let mut passing = self.passing.borrow_mut();
        if passing.len() >= 256 {
            passing.clear();
        }
        passing.insert(authority.to_owned(), Rc::clone(&lane));
        Some(lane)
    }

    /// Runs until the thread ends: closes idle connections, keeps wall time right.
    pub(crate) async fn housekeeping(self: Rc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.set_wall();
            let now = self.now();
            let local = self.local();
            let mut pools = self.pools.borrow().values().map(Rc::clone).collect::<Vec<_>>();
            for pool in pools.drain(..) {
                pool.sweep(now);
            }
            write_off(&local, now);
            self.forget_pools(&local);
            let bodies = self.parking.borrow().bodies();
            parked::sweep(bodies, now);
        }
    }

    /// A body over HTTP/2, which is ended if its client does not take it.
    pub(crate) fn park(&self, outflow: Box<Outflow>) -> Rc<Parked> {
        self.parking.borrow_mut().add(outflow, self.clock)
    }

    /// Registers a connection; it is woken when draining begins.
    pub(crate) fn watch_drain(&self, waker: &Waker) -> u64 {
        let mut connections = self.connections.borrow_mut();
        connections.next = connections.next.wrapping_add(1);
        let id = connections.next;
        connections.wakers.insert(id, waker.clone());
        id
    }

    pub(crate) fn unwatch_drain(&self, id: u64) {
        self.connections.borrow_mut().wakers.remove(&id);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// Wakes every connection so that it sees that draining began.
    pub(crate) fn wake_connections(&self) {
        for waker in self.connections.borrow().wakers.values() {
            waker.wake_by_ref();
        }
    }

    fn set_wall(&self) {
        let wall = u64::try_from(wall_now().as_millis()).unwrap_or(u64::MAX);
        self.wall_base.set(wall.wrapping_sub(self.now().0 / 1_000_000));
    }

    fn take_over(&self, number: u64, snapshot: Arc<Snapshot>) -> Rc<Local> {
        let bound = |at: At, side: &Side| {
            let lane =
                side.cluster.as_ref().map(|cluster| Rc::new(Lane::new(Arc::clone(cluster), side.balance)));
            Rc::new(Bound { snapshot: Arc::clone(&snapshot), at, lane, line: self.line(side) })
        };
        let inbound = bound(At::App, &snapshot.inbound);
        let dependencies = snapshot.dependencies.iter().enumerate();
        let dependencies = dependencies.map(|(at, side)| bound(At::Dependency(at), side)).collect();
        let pass = snapshot.pass.as_ref().and_then(|side| self.line(side));
        let known = |name: &Arc<str>| snapshot.sides().chain(&snapshot.pass).any(|side| side.name == *name);
        self.lines.borrow_mut().retain(|name, _| known(name));
        Rc::new(Local { number, inbound, dependencies, pass, snapshot: Arc::clone(&snapshot) })
    }

    /// The line of this name, under the bounds of `side`; those who wait in it stay.
    fn line(&self, side: &Side) -> Option<Rc<Line>> {
        let bulkhead = side.bulkhead.as_ref()?;
        let mut lines = self.lines.borrow_mut();
        if let Some(line) = lines.get(&side.name) {
            line.update(Arc::clone(bulkhead));
            return Some(Rc::clone(line));
        }
        let line = Line::new(Arc::clone(bulkhead), self.clock);
        lines.insert(Arc::clone(&side.name), Rc::clone(&line));
        Some(line)
    }

    fn pool(
        &self,
        endpoint: &Arc<crate::upstream::cluster::Endpoint>,
        cluster: &Cluster,
    ) -> Rc<EndpointPool> {
        let bounds = self.bounds(cluster);
        let mut pools = self.pools.borrow_mut();
        let pool = pools.entry(endpoint.id).or_insert_with(|| EndpointPool::new(endpoint, bounds));
        pool.set_bounds(bounds);
        Rc::clone(pool)
    }

    /// This worker's share of what the policy allows.
    fn bounds(&self, cluster: &Cluster) -> Bounds {
        let workers = self.shared.config.workers.max(1);
        let share = |bound: u32| usize::try_from(bound).unwrap_or(usize::MAX).div_ceil(workers);
        Bounds {
            connections: share(cluster.spec.max_connections_per_endpoint),
            connecting: usize::try_from(cluster.spec.max_connecting).unwrap_or(usize::MAX),
            keepalive: cluster.spec.keepalive,
        }
    }

    /// Pools of endpoints that no cluster has any more: their connections close as they come back.
    fn forget_pools(&self, local: &Local) {
        let mut wanted = std::collections::HashSet::new();
        let passing = self.passing.borrow();
        let lanes = local.dependencies.iter().chain([&local.inbound]).filter_map(|bound| bound.lane.as_ref());
        for lane in lanes.chain(passing.values()) {
            wanted.extend(lane.cluster.endpoints().iter().map(|endpoint| endpoint.id));
        }
        self.pools.borrow_mut().retain(|id, _| wanted.contains(id));
    }
}

/// Where a breaker is not closed, calls that hang make room for those that find out whether it works again.
fn write_off(local: &Local, now: Nanos) {
    for bound in &local.dependencies {
        let (Some(line), Some(fuse)) = (&bound.line, &bound.side().breaker) else { continue };
        let hung =
            now.0.checked_sub(u64::try_from(fuse.breaker.slow_threshold().as_nanos()).unwrap_or(u64::MAX));
        if let Some(since) = hung.filter(|_| fuse.breaker.is_tripped(now)) {
            line.write_off(Nanos(since));
        }
    }
}

impl Lane {
    fn new(cluster: Arc<Cluster>, by: By) -> Self {
        Self { cluster, by, seen: RefCell::default(), next: Cell::new(0) }
    }

    /// The pool to try next: the balancer's choice among those that are not in `avoid`, if there are any.
    pub(crate) fn choose(&self, worker: &Worker, avoid: &[u64], now: Nanos) -> Option<Rc<EndpointPool>> {
        self.refresh(worker);
        let seen = self.seen.borrow();
        let pools = &seen.1;
        if let [only] = pools.as_slice() {
            return Some(Rc::clone(only));
        }
        let turn = self.next.replace(self.next.get().wrapping_add(1));
        let draw = worker.random.borrow_mut().next_u64();
        let load = |at: usize| pools.get(at).map(|pool| &pool.load);
        let avoided = |at: usize| pools.get(at).is_some_and(|pool| avoid.contains(&pool.endpoint.id));
        let chosen = balance::choose(self.by, &load, pools.len(), (turn, draw), now, &avoided)?;
        pools.get(chosen).map(Rc::clone)
    }

    pub(crate) fn endpoint_count(&self) -> usize {
        self.seen.borrow().1.len()
    }

    fn refresh(&self, worker: &Worker) {
        let number = self.cluster.number();
        if self.seen.borrow().0 == Some(number) {
            return;
        }
        let endpoints = self.cluster.endpoints();
        let pools = endpoints.iter().map(|endpoint| worker.pool(endpoint, &self.cluster)).collect();
        *self.seen.borrow_mut() = (Some(number), pools);
    }
}
