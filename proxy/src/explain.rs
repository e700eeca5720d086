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
    Ok(Explained { dependency, route, passed_over: routes.iter().take(rank).collect(), gates })
}

fn rules(chain: &outrigger_filters::chain::Chain) -> Vec<String> {
    let rule = |rule: &outrigger_filters::chain::Rule| {
        format!("{} `{}` ({})", rule.filter(), rule.name(), rule.mode().label())
    };
    chain.rules().map(|(_, found)| rule(found)).collect()
}
