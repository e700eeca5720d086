//! What would become of a request: the router's answer, in words.

use http::Request;
use outrigger_config::plan::{Dependency, Plan, Route};
use outrigger_filters::state::StateStore;

use crate::pipeline::target;
use crate::router::Router;
use crate::snapshot;

/// Where a request goes and what it meets.
#[derive(Debug)]
pub(crate) struct Explained<'a> {
    pub(crate) dependency: Option<&'a Dependency>,
    pub(crate) route: &'a Route,
    /// More specific routes that did not match.
    pub(crate) passed_over: Vec<&'a Route>,
    /// The gates, in the order in which they are asked.
    pub(crate) gates: Vec<String>,
    /// What stands between the gates and the upstream, in order.
    pub(crate) stages: Vec<String>,
}

/// Explains `request` under `plan`.
///
/// # Errors
/// Why it would be refused before any policy is asked.
pub(crate) fn explain<'a>(
    plan: &'a Plan,
    request: &Request<()>,
    outbound: bool,
) -> Result<Explained<'a>, String> {
    let host = target::host(request).map_err(|refusal| refusal.reason().to_owned())?;
    let dependency = match outbound {
        false => None,
        true => Some(
            snapshot::by_host(&plan.dependencies, &host)
                .ok_or_else(|| format!("no dependency answers to `{host}` (404 destination_not_found)"))?,
        ),
    };
    let routes = dependency.map_or(&plan.inbound.routes, |dependency| &dependency.routes);
    let router = Router::new(routes.iter().map(|route| &route.matches)).map_err(|error| error.to_string())?;
    let rank = router.find(&crate::pipeline::routing(request, &host)).unwrap_or(routes.len());
    let route = routes.get(rank).ok_or("no route matches")?;
    // The chains name their rules; nothing is asked of this store.
    let store = StateStore::new(1);
    let mut gates = rules(&route.policies.build("", &store));
    if let Some(dependency) = dependency {
        gates.extend(rules(&dependency.policies.build("", &store)));
    }
    Ok(Explained {
        dependency,
        route,
        passed_over: routes.iter().take(rank).collect(),
        gates,
        stages: stages(dependency, route),
    })
}

fn stages(dependency: Option<&Dependency>, route: &Route) -> Vec<String> {
    let shared = dependency.and_then(|dependency| dependency.circuit_breaker.as_ref());
    let owner = match (&route.circuit_breaker, dependency) {
        (None, Some(dependency)) => format!("`{}`, shared by its routes", dependency.name),
        _ => format!("of route `{}`", route.name),
    };
    let breaker = route.circuit_breaker.as_ref().or(shared).map(|spec| {
        let slow = spec.slow_threshold.map_or_else(String::new, |slow| format!(", slow from {slow}"));
        let (failed, hung) = (&spec.failure_ratio, &spec.slow_ratio);
        format!(
            "circuit_breaker {owner} ({}): opens at {failed} failed or {hung} slow{slow}",
            spec.mode.label()
        )
    });
    let isolation = dependency.map(|dependency| {
        let spec = &dependency.isolation;
        format!(
            "isolation `{}` ({}): {} in flight, {} waiting for {}",
            dependency.name,
            spec.mode.label(),
            spec.max_in_flight,
            spec.max_queue,
            spec.queue_timeout
        )
    });
    let retries = route.retries.as_ref().map(|spec| {
        let repeated = if spec.idempotent { "any method".to_owned() } else { spec.methods.join(", ") };
        let budget = &spec.budget;
        format!(
            "retries ({}): {} attempts of {repeated}, budget {} and {}/s",
            spec.mode.label(),
            spec.attempts,
            budget.ratio,
            budget.min_per_second
        )
    });
    breaker.into_iter().chain(isolation).chain(retries).collect()
}

fn rules(chain: &outrigger_filters::chain::Chain) -> Vec<String> {
    let rule = |rule: &outrigger_filters::chain::Rule| {
        format!("{} `{}` ({})", rule.filter(), rule.name(), rule.mode().label())
    };
    chain.rules().map(|(_, found)| rule(found)).collect()
}
