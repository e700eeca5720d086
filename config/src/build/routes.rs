//! Routes: named once, reachable, in order of precedence, with what they inherit.

use std::collections::HashMap;
use std::time::Duration;

use outrigger_filters::circuit_breaker;
use outrigger_filters::policies::RoutePolicies;
use outrigger_filters::retries;

use super::{Build, order};
use crate::codes;
use crate::decode::Written;
use crate::document::RouteBlock;
use crate::index::Spot;
use crate::node::{NodeId, quoted};
use crate::plan::{Match, Route, Timeouts};

/// Name of the route that always exists.
pub(crate) const DEFAULT: &str = "default";

/// What routes inherit.
pub(super) struct Parent<'p> {
    pub(super) timeouts: Timeouts,
    pub(super) retries: Option<&'p retries::Spec>,
    pub(super) policies: &'p RoutePolicies,
    /// What each has for itself, checked where it stands.
    pub(super) circuit_breaker: Option<&'p circuit_breaker::Spec>,
    /// Where the policies were written.
    pub(super) id: Option<NodeId>,
}

impl Parent<'_> {
    fn breaker(&self, total: Duration) -> Option<circuit_breaker::Spec> {
        self.circuit_breaker.map(|spec| spec.resolved(total))
    }
}

type Routed<R> = Written<R, RoutePolicies>;

impl Build<'_, '_> {
    /// All routes, most specific first; the last is `default`.
    pub(super) fn routes<R: RouteBlock>(&self, written: &[Routed<R>], parent: &Parent<'_>) -> Vec<Route> {
        self.check_route_names(written);
        let mut routes: Vec<_> = written.iter().map(|route| self.route(route, parent)).collect();
        self.check_reachable(written, &routes);
        if !routes.iter().any(|route| route.name == DEFAULT) {
            routes.push(Route {
                name: DEFAULT.to_owned(),
                matches: Match::default(),
                timeouts: parent.timeouts,
                retries: parent.retries.cloned(),
                policies: parent.policies.clone(),
                circuit_breaker: parent.breaker(parent.timeouts.total),
            });
        }
        order::sort(&mut routes);
        routes
    }

    fn route<R: RouteBlock>(&self, written: &Routed<R>, parent: &Parent<'_>) -> Route {
        let spot = self.ctx.index.spot(written.id);
        let (name, matches, timeouts) = written.block.common();
        let mut route = Route {
            name: name.to_owned(),
            matches: Match::default(),
            timeouts: parent.timeouts,
            retries: parent.retries.cloned(),
            policies: self.inherited(written, parent),
            circuit_breaker: None,
        };
        if self.ctx.is_damaged(self.ctx.index.node(written.id)) {
            return route;
        }
        if let Some(matches) = matches {
            route.matches = self.matches(matches, spot.key("match"));
        }
        if let Some(timeouts) = timeouts {
            route.timeouts = self.timeouts(timeouts, spot.key("timeouts"));
        }
        let total = route.timeouts.total;
        route.circuit_breaker = match written.block.circuit_breaker() {
            Some(own) => Some(self.breaker(own, spot.key("circuit_breaker"), total)),
            None => parent.breaker(total),
        };
        if let Some(retries) = written.block.retries() {
            route.retries = Some(self.retries(retries, spot.key("retries")));
        }
        if name == DEFAULT && route.matches != Match::default() {
            let hint = "drop its `match`, or give it another name";
            self.error(
                spot.key("match"),
                codes::DEFAULT_ROUTE,
                "the route `default` must match everything",
                hint,
            );
        }
        self.check_policies(written.id, &written.policies, matches);
        route
    }

    /// The route's own policies, and those of the parent whose keys it does not have.
    fn inherited<R>(&self, written: &Routed<R>, parent: &Parent<'_>) -> RoutePolicies {
        let Some(id) = parent.id else { return written.policies.clone() };
        let nodes = [self.ctx.index.node(written.id), self.ctx.index.node(id)];
        let own = nodes.iter().take(1).flat_map(|node| node.entries());
        if !own.into_iter().any(|(key, _)| RoutePolicies::KEYS.contains(&key.text.as_str())) {
            return parent.policies.clone();
        }
        self.ctx.decode_layers(&nodes, RoutePolicies::KEYS).unwrap_or_else(|| written.policies.clone())
    }

    fn check_route_names<R: RouteBlock>(&self, written: &[Routed<R>]) {
        let mut seen: HashMap<&str, Spot<'_>> = HashMap::new();
        for route in written {
            let spot = self.ctx.index.spot(route.id).key("name");
            let (name, ..) = route.block.common();
            self.check_name(spot, name);
            if let Some(first) = seen.get(name) {
                let message = format!("a second route is named {}", quoted(name));
                self.error(
                    spot,
                    codes::NAME_TAKEN,
                    message,
                    format!("the first is {}", self.place(*first, spot)),
                );
            } else {
                seen.insert(name, spot);
            }
        }
    }

    fn check_reachable<R>(&self, written: &[Routed<R>], routes: &[Route]) {
        let mut seen: HashMap<Match, &str> = HashMap::new();
        let mut places: HashMap<&str, Spot<'_>> = HashMap::new();
        for (written, route) in written.iter().zip(routes) {
            // `default` exists whether it is written or not, also behind a route that takes everything.
            if route.name == DEFAULT || self.ctx.is_damaged(self.ctx.index.node(written.id)) {
                continue;
            }
            let spot = self.ctx.index.spot(written.id);
            let Some(first) = seen.insert(normal(&route.matches), &route.name) else {
                places.insert(&route.name, spot);
                continue;
            };
            seen.insert(normal(&route.matches), first);
            let at = places.get(first).map(|at| self.place(*at, spot)).unwrap_or_default();
            let message =
                format!("route {} is never reached: {} matches the same", quoted(&route.name), quoted(first));
            let hint = format!("the other is {at}; make one more specific, or remove it");
            self.error(spot.key("match"), codes::UNREACHABLE_ROUTE, message, hint);
        }
    }

    /// `on line 7`, with the file if it is another one.
    pub(super) fn place(&self, of: Spot<'_>, from: Spot<'_>) -> String {
        if of.span.file == from.span.file {
            return format!("on line {}", of.span.line);
        }
        format!(
            "in {} on line {}",
            self.names.get(usize::from(of.span.file)).copied().unwrap_or_default(),
            of.span.line
        )
    }
}

/// The same for two matches that hold for the same requests because they say the same in another order.
fn normal(matches: &Match) -> Match {
    let mut matches = matches.clone();
    matches.methods.sort_unstable();
    matches.hosts.sort_unstable();
    matches
}
