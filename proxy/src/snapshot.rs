//! A compiled policy: everything a request needs, resolved, immutable, swapped whole.
//!
//! `compile` is pure but for files it reads (certificates): it opens no socket, spawns nothing and changes
//! nothing that a running request can see. What must outlive a policy (meters, counters, endpoints) is adopted
//! through [`Resources`] by name.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use outrigger_config::plan::{
    Dependency, HostMatch, Plan, Route as PlannedRoute, Timeouts, UnknownHosts, Upstream,
};
use outrigger_filters::balance::By;
use outrigger_filters::chain::Chain;
use outrigger_filters::circuit_breaker::{self, Breaker};
use outrigger_filters::isolation::{self, Bulkhead, Process};
use outrigger_filters::policies::UpstreamPolicies;
use outrigger_filters::retries::Retries;
use outrigger_filters::state::StateStore;

use crate::router::Router;
use crate::telemetry::{AttemptSeries, Direction, RouteSeries, Telemetry};
use crate::upstream::cluster::{Cluster, Clusters};

/// Bytes of bodies that are kept at once in case they must be sent again; dependencies have shares of it.
const MAX_REPLAYED: u64 = 32 << 20;

/// Name of the dependency that stands for all hosts nobody named.
pub(crate) const PASS: &str = "pass";

/// What outlives policies and is adopted by each.
pub(crate) struct Resources {
    pub(crate) telemetry: Telemetry,
    pub(crate) store: StateStore,
    pub(crate) clusters: Clusters,
    /// From the command line; beats `inbound.app`.
    pub(crate) app: Option<Upstream>,
    /// Requests the process carries at once, of which each dependency has a share.
    pub(crate) max_in_flight: u64,
}

/// The keys that lead to a place in the policy, and what is wrong there.
pub(crate) type Trouble = (Vec<String>, String);

/// One policy, ready to serve.
pub(crate) struct Snapshot {
    pub(crate) generation: u64,
    pub(crate) inbound: Side,
    /// The index is the dependency's number in this snapshot.
    pub(crate) dependencies: Vec<Side>,
    pub(crate) readiness: Option<String>,
    pub(crate) listen: Vec<(SocketAddr, Arc<str>)>,
    hosts: HashMap<Box<str>, usize>,
    /// Longest first.
    suffixes: Vec<(Box<str>, usize)>,
    listeners: HashMap<SocketAddr, usize>,
    /// Serves unknown hosts, if they may pass; each gets a cluster of its own when it is first called.
    pub(crate) pass: Option<Side>,
    pub(crate) unmatched: [RouteSeries; 2],
}

/// The policy in force: the only place a policy is swapped.
///
/// Its number changes with it, so that whoever has one can see in a glance whether it is still the one: a look at
/// the pointer itself costs several times as much.
pub(crate) struct Live {
    snapshot: ArcSwap<Snapshot>,
    number: AtomicU64,
}

impl Live {
    pub(crate) fn new(first: Snapshot) -> Self {
        Self { snapshot: ArcSwap::from_pointee(first), number: AtomicU64::new(0) }
    }

    pub(crate) fn store(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
        self.number.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Ask before [`Live::load`]: what is loaded is at least as new.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }
}

/// The app or one dependency.
pub(crate) struct Side {
    pub(crate) name: Arc<str>,
    pub(crate) router: Router,
    pub(crate) routes: Vec<Arc<Route>>,
    /// None: nobody to forward to.
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) attempts: AttemptSeries,
    /// How its endpoints are chosen.
    pub(crate) balance: By,
    /// What a dependency may take; the app is bounded by what comes in.
    pub(crate) bulkhead: Option<Arc<Bulkhead>>,
    /// The breaker of all routes that have none of their own.
    pub(crate) breaker: Option<Fuse>,
}

/// A breaker by the name of what it stands on: a dependency or a route.
#[derive(Clone)]
pub(crate) struct Fuse {
    pub(crate) name: Arc<str>,
    /// Of a route; else of the dependency.
    pub(crate) is_route: bool,
    pub(crate) breaker: Arc<Breaker>,
}

/// One route, ready to serve.
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    pub(crate) timeouts: Timeouts,
    /// The gates of the route, then those of its dependency.
    pub(crate) gates: Arc<Chain>,
    pub(crate) upstream_gates: Arc<Chain>,
    /// Asked before each attempt.
    pub(crate) breaker: Option<Fuse>,
    pub(crate) retries: Retries,
    pub(crate) series: RouteSeries,
    /// Its path is a regex whose named parts some key is made of.
    pub(crate) has_params: bool,
}

impl Snapshot {
    /// Turns a proven plan into what serves it.
    ///
    /// # Errors
    /// A file the plan names cannot be used. Each entry is the place in the policy and what is wrong.
    pub(crate) fn compile(plan: &Plan, generation: u64, resources: &Resources) -> Result<Self, Vec<Trouble>> {
        let mut problems = Vec::new();
        let dependencies = plan.dependencies.len();
        let process =
            Process { max_in_flight: resources.max_in_flight, max_buffered: MAX_REPLAYED, dependencies };
        let app = resources.app.as_ref().or(plan.inbound.app.as_ref());
        let direction = Direction::Inbound;
        let inbound = Builder { resources, direction, name: "", problems: &mut problems }.side(
            app,
            &plan.inbound.routes,
            &UpstreamPolicies::default(),
            None,
        );
        let mut dependencies = Vec::with_capacity(plan.dependencies.len());
        for planned in &plan.dependencies {
            let name = planned.name.as_str();
            let builder =
                Builder { resources, direction: Direction::Outbound, name, problems: &mut problems };
            let isolation = Bulkhead::build(&planned.isolation, name, &process, &resources.store);
            let mut side = builder.side(
                Some(&planned.upstream),
                &planned.routes,
                &planned.policies,
                planned.circuit_breaker.as_ref(),
            );
            (side.bulkhead, side.balance) = (Some(isolation), planned.balance.by);
            dependencies.push(side);
        }
        let pass = (plan.unknown_hosts == UnknownHosts::Pass).then(|| {
            let builder =
                Builder { resources, direction: Direction::Outbound, name: PASS, problems: &mut problems };
            let mut side = builder.side(None, &[catch_all()], &UpstreamPolicies::default(), None);
            let spec = isolation::Spec::default();
            side.bulkhead = Some(Bulkhead::build(&spec, PASS, &process, &resources.store));
            side
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let (hosts, suffixes) = index(&plan.dependencies);
        let listen = plan.dependencies.iter().zip(&dependencies);
        let listen: Vec<_> =
            listen.filter_map(|(planned, side)| Some((planned.listen?, Arc::clone(&side.name)))).collect();
        let listeners = plan.dependencies.iter().enumerate();
        let series = |direction| resources.telemetry.route(direction, "none", "", []);
        Ok(Self {
            generation,
            readiness: plan.inbound.readiness.clone(),
            listen,
            listeners: listeners.filter_map(|(at, planned)| Some((planned.listen?, at))).collect(),
            hosts,
            suffixes,
            inbound,
            dependencies,
            pass,
            unmatched: [series(Direction::Inbound), series(Direction::Outbound)],
        })
    }

    /// The dependency that answers to `host` (lower case, no port).
    pub(crate) fn by_host(&self, host: &str) -> Option<usize> {
        find_host(&self.hosts, &self.suffixes, host)
    }

    /// The dependency whose `listen` is `address`, whatever it is called by now.
    pub(crate) fn by_listener(&self, address: SocketAddr) -> Option<usize> {
        self.listeners.get(&address).copied()
    }

    /// The series of requests that no route took.
    pub(crate) fn unmatched(&self, direction: Direction) -> RouteSeries {
        let [inbound, outbound] = self.unmatched;
        if direction == Direction::Inbound { inbound } else { outbound }
    }

    /// The app, then the dependencies.
    pub(crate) fn sides(&self) -> impl Iterator<Item = &Side> {
        std::iter::once(&self.inbound).chain(&self.dependencies)
    }
}

/// The dependency of a plan that answers to `host`.
pub(crate) fn by_host<'a>(dependencies: &'a [Dependency], host: &str) -> Option<&'a Dependency> {
    let (hosts, suffixes) = index(dependencies);
    find_host(&hosts, &suffixes, host).and_then(|at| dependencies.get(at))
}

fn find_host(hosts: &HashMap<Box<str>, usize>, suffixes: &[(Box<str>, usize)], host: &str) -> Option<usize> {
    hosts.get(host).copied().or_else(|| {
        let inside = |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
        suffixes.iter().find(|(suffix, _)| inside(suffix)).map(|(_, at)| *at)
    })
}

fn catch_all() -> PlannedRoute {
    PlannedRoute {
        name: "default".into(),
        matches: outrigger_config::plan::Match::default(),
        timeouts: Timeouts::default(),
        retries: None,
        policies: outrigger_filters::policies::RoutePolicies::default(),
        circuit_breaker: None,
    }
}

type Hosts = (HashMap<Box<str>, usize>, Vec<(Box<str>, usize)>);

fn index(dependencies: &[Dependency]) -> Hosts {
    let (mut hosts, mut suffixes) = (HashMap::new(), Vec::new());
    for (at, dependency) in dependencies.iter().enumerate() {
        for host in &dependency.hosts {
            match host {
                HostMatch::Exact(host) => {
                    hosts.insert(host.as_str().into(), at);
                }
                HostMatch::Suffix(suffix) => suffixes.push((suffix.as_str().into(), at)),
            }
        }
    }
    suffixes.sort_by_key(|(suffix, _): &(Box<str>, usize)| std::cmp::Reverse(suffix.len()));
    (hosts, suffixes)
}

/// What a side's routes share.
struct Parent<'a> {
    owner: &'a str,
    upstream_gates: &'a Arc<Chain>,
    breaker: Option<&'a Fuse>,
}

/// Builds one side.
struct Builder<'a> {
    resources: &'a Resources,
    direction: Direction,
    /// Empty for the app.
    name: &'a str,
    problems: &'a mut Vec<Trouble>,
}

impl Builder<'_> {
    fn side(
        mut self,
        upstream: Option<&Upstream>,
        routes: &[PlannedRoute],
        policies: &UpstreamPolicies,
        breaker: Option<&circuit_breaker::Spec>,
    ) -> Side {
        let owner =
            if self.name.is_empty() { "inbound".to_owned() } else { format!("dependencies.{}", self.name) };
        let cluster = upstream.and_then(|upstream| self.cluster(upstream));
        let router = Router::new(routes.iter().map(|route| &route.matches)).unwrap_or_else(|error| {
            self.problems.push((self.place("routes"), error.to_string()));
            Router::default()
        });
        let upstream_gates = policies.build(&owner, &self.resources.store);
        // Its slow threshold was resolved by the plan; the total time matters no more.
        let breaker = breaker.and_then(|spec| self.fuse(spec, &owner, self.name, Timeouts::default().total));
        let parent = Parent { owner: &owner, upstream_gates: &upstream_gates, breaker: breaker.as_ref() };
        let routes = routes.iter().map(|route| self.route(&parent, route)).collect();
        let attempts = self.resources.telemetry.attempts(self.name);
        Side {
            name: self.name.into(),
            router,
            routes,
            cluster,
            attempts,
            balance: By::default(),
            bulkhead: None,
            breaker,
        }
    }

    fn fuse(&self, spec: &circuit_breaker::Spec, owner: &str, name: &str, total: Duration) -> Option<Fuse> {
        let breaker = spec.build(owner, total, &self.resources.store)?;
        Some(Fuse { name: name.into(), is_route: owner.contains(".routes."), breaker })
    }

    fn route(&self, parent: &Parent<'_>, planned: &PlannedRoute) -> Arc<Route> {
        let upstream_gates = parent.upstream_gates;
        let owner = format!("{}.routes.{}", parent.owner, planned.name);
        let breaker = match &planned.circuit_breaker {
            Some(own) => self.fuse(own, &owner, &planned.name, planned.timeouts.total),
            None => parent.breaker.cloned(),
        };
        let gates = planned.policies.build(&owner, &self.resources.store);
        let rules: Vec<String> =
            gates.rules().chain(upstream_gates.rules()).map(|(_, rule)| rule.name().to_owned()).collect();
        let rules = rules.iter().map(String::as_str);
        let series = self.resources.telemetry.route(self.direction, &planned.name, self.name, rules);
        let has_params = matches!(&planned.matches.path, outrigger_config::plan::PathMatch::Regex(pattern) if pattern.contains("(?"));
        Arc::new(Route {
            name: planned.name.as_str().into(),
            timeouts: planned.timeouts,
            gates,
            upstream_gates: Arc::clone(upstream_gates),
            breaker,
            retries: Retries::build(planned.retries.as_ref(), parent.owner, &self.resources.store),
            series,
            has_params,
        })
    }

    fn cluster(&mut self, upstream: &Upstream) -> Option<Arc<Cluster>> {
        let name = if self.name.is_empty() { "app" } else { self.name };
        match self.resources.clusters.adopt(name, upstream) {
            Ok(cluster) => Some(cluster),
            Err(problem) => {
                self.problems.push((self.place("tls"), problem));
                None
            }
        }
    }

    fn place(&self, key: &str) -> Vec<String> {
        match self.name {
            "" => vec!["inbound".to_owned(), "app".to_owned()],
            name => vec!["dependencies".to_owned(), name.to_owned(), key.to_owned()],
        }
    }
}
